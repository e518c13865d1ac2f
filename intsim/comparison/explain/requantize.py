"""From an accumulator to a code, from a real to a code and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from intsim.comparison.explain.elements import Elements, parameter
from intsim.comparison.explain.explanation import Coordinate, Line, Read, Step
from intsim.comparison.explain.float32 import clamp_round
from intsim.comparison.explain.quotient import requantized
from intsim.lowering.lowered import Layer


def explain_requantize(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(acc / 2**shift) + zero_point)."""
    acc = elements.code(layer.inputs[0], at)
    shift = parameter(layer, "shift", at)
    n, d = acc << max(-shift, 0), 1 << max(shift, 0)
    lines, rules = requantized(n, d, layer.parameters["rounding"], parameter(layer, "zero_point", at), layer)
    shifted = Line("shift (OTP)", shift, f"truncation point: the accumulator over 2**{shift}")
    return _step(elements, layer, at, [elements.read(layer.inputs[0], at)], [shifted, *lines], rules)


def explain_requantize_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = half_even(clamp(float32(acc) * multiplier)) + zero_point."""
    acc = np.float32(elements.code(layer.inputs[0], at))
    multiplier = np.float32(parameter(layer, "multiplier", at))
    scaled = acc * multiplier
    lines, rules = clamp_round(scaled, parameter(layer, "zero_point", at), layer)
    before = [
        Line("float32(acc)", float(acc)),
        Line("multiplier", float(multiplier), "float32"),
        Line("product", float(scaled), "rounded to float32"),
    ]
    return _step(elements, layer, at, [elements.read(layer.inputs[0], at)], [*before, *lines], rules)


def explain_quantize(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(r / scale) + zero_point), one exact quotient."""
    real = elements.value(layer.inputs[0], at)
    scale = float(parameter(layer, "scale", at))
    quotient = Fraction(real) / Fraction(scale)
    zero = parameter(layer, "zero_point", at)
    lines, rules = requantized(quotient.numerator, quotient.denominator, layer.parameters["rounding"], zero, layer)
    scaled = Line("scale", scale, "the exact quotient of the float32 real and the scale is rounded once")
    return _step(elements, layer, at, [elements.read(layer.inputs[0], at)], [scaled, *lines], rules)


def explain_quantize_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = half_even(clamp(float32(r / scale))) + zero_point."""
    real = np.float32(elements.value(layer.inputs[0], at))
    scale = np.float32(parameter(layer, "scale", at))
    quotient = real / scale
    lines, rules = clamp_round(quotient, parameter(layer, "zero_point", at), layer)
    before = [Line("scale", float(scale), "float32"), Line("quotient", float(quotient), "rounded to float32")]
    return _step(elements, layer, at, [elements.read(layer.inputs[0], at)], [*before, *lines], rules)


def explain_dequantize_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """r = float32(x - zero_point) * scale."""
    code = elements.code(layer.inputs[0], at)
    zero, scale = parameter(layer, "zero_point", at), np.float32(parameter(layer, "scale", at))
    real = np.float32(code - zero) * scale
    lines = (
        Line("code - zero point", code - zero, f"zero point {zero}"),
        Line("scale", float(scale), "float32"),
        Line("real", float(real), "rounded to float32"),
    )
    place = elements.place(layer.outputs[0], at)
    return Step(layer.outputs[0], layer.op, place, float(real), (elements.read(layer.inputs[0], at),), (), lines)


def _step(
    elements: Elements, layer: Layer, at: Coordinate, reads: list[Read], lines: list[Line], rules: dict[str, int]
) -> Step:
    name = layer.outputs[0]
    return Step(name, layer.op, elements.place(name, at), lines[-1].value, tuple(reads), (), tuple(lines), rules)
