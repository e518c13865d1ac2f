"""From a sum to a code through a multiplier: each target's roundings, one at a time, in Python integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from intsim.comparison.explain.elements import Elements, parameter
from intsim.comparison.explain.explanation import Coordinate, Line, Step
from intsim.comparison.explain.quotient import clipped, code_range, describe, requantized
from intsim.formats import round_quotient
from intsim.lowering.lowered import Layer


def explain_multiplied(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(the target's rounded product of acc and the multiplier + zero_point)."""
    name = layer.inputs[0]
    lines = STEPS[layer.op](elements.code(name, at), layer, at)
    zero = 0 if layer.op == "requantize_onnx_reference" else parameter(layer, "zero_point", at)
    lines += clipped(lines[-1].value, zero, layer)
    output = layer.outputs[0]
    place = elements.place(output, at)
    return Step(output, layer.op, place, lines[-1].value, (elements.read(name, at),), (), tuple(lines))


def explain_quotient(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(acc * factor / divisor) + zero_point)."""
    name, p, output = layer.inputs[0], layer.parameters, layer.outputs[0]
    n = elements.code(name, at) * int(p["factor"])
    lines, rules = requantized(n, int(p["divisor"]), p["rounding"], int(p["zero_point"]), layer)
    product = Line("product", n, f"times {int(p['factor'])}")
    place = elements.place(output, at)
    return Step(output, layer.op, place, lines[-1].value, (elements.read(name, at),), (), (product, *lines), rules)


def _rounded(name: str, n: int, shift: int, rounding: str) -> Line:
    """n / 2**shift, rounded."""
    d = 1 << max(shift, 0)
    n <<= max(-shift, 0)
    return Line(name, round_quotient(n, d, rounding), f"{describe(n, d)}; {rounding}")


def _wrapped(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _double_rounding(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    left = _wrapped(acc << max(shift, 0))
    lines = [
        Line("multiplier", multiplier, f"of 2**31; its shift is {shift} to the left"),
        Line("shifted left", left, f"by {max(shift, 0)}, in 32 bits"),
    ]
    high = _rounded("high product", left * multiplier, 31, "half_up")
    if high.value > 2**31 - 1:
        high = Line("high product", 2**31 - 1, "saturated")
    return [*lines, high, _rounded("rounded", int(high.value), max(-shift, 0), "half_away")]


def _single_rounding(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    product = Line("product", acc * multiplier, f"times the multiplier {multiplier}")
    return [product, _rounded("rounded", acc * multiplier, 31 - shift, "half_up")]


def _cmsis_nn_single(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    product = Line("product", acc * multiplier, f"times the multiplier {multiplier}")
    doubled = _rounded("doubled", acc * multiplier, 30 - shift, "floor")
    return [product, doubled, _rounded("rounded", int(doubled.value), 1, "half_up")]


def _int64(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    reduced = min((multiplier + 2**15) >> 16, 2**15 - 1)
    lines = [Line("reduced multiplier", reduced, f"{multiplier} in 15 bits"), Line("product", acc * reduced)]
    return [*lines, _rounded("rounded", acc * reduced, 15 - shift, "half_up")]


def _float64(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    factor = float(parameter(layer, "multiplier", at))
    product = float(acc) * factor
    rounded = round_quotient(*product.as_integer_ratio(), "half_away")
    lines = [Line("multiplier", factor, "float64"), Line("product", product, "rounded to float64")]
    return [*lines, Line("rounded", rounded, "half_away")]


def _tosa(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    v = acc - int(layer.parameters["input_zero_point"])
    nudge = 0
    if layer.parameters["double_rounding"] and shift > 31:
        nudge = 2**30 if v >= 0 else -(2**30)
    product = v * multiplier + nudge
    how = f"({v}) * {multiplier}{f' {nudge:+d}, double rounding' if nudge else ''}"
    return [Line("product", product, how), _rounded("rounded", product, shift, "half_up")]


def _rndnu(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    fraction, exponent = math.frexp(float(parameter(layer, "multiplier", at)))
    m = int(fraction * 2**24)
    return [Line("product", acc * m, f"times {m}"), _rounded("rounded", acc * m, 24 - exponent, "half_up")]


def _float32(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    factor = np.float32(parameter(layer, "multiplier", at))
    product = np.float32(acc) * factor
    rounded = round_quotient(*float(product).as_integer_ratio(), "half_even")
    lines = [
        Line("float32(acc)", float(np.float32(acc))),
        Line("multiplier", float(factor), "float32"),
        Line("product", float(product), "rounded to float32"),
    ]
    return [*lines, Line("rounded", rounded, "half_even")]


def _onnx_reference(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    factor, zero = float(parameter(layer, "multiplier", at)), parameter(layer, "zero_point", at)
    low, high = code_range(layer)
    moved = float(acc) * factor + zero
    clamped = float(min(max(moved, low), high))
    return [
        Line("product", float(acc) * factor, f"times {factor!r}, in float64"),
        Line("with zero point", moved, f"{zero:+d}, before the rounding"),
        Line("rounded", round_quotient(*clamped.as_integer_ratio(), "half_even"), "half_even"),
    ]


def _nvdla(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    product = (acc - parameter(layer, "offset", at)) * multiplier
    return [Line("product", product, f"times {multiplier}"), _rounded("rounded", product, shift, "half_away")]


def _pulp(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    multiplier, shift = parameter(layer, "multiplier", at), parameter(layer, "shift", at)
    half = 1 << (shift - 1) if shift and layer.parameters["rounding"] == "half_up" else 0
    exact = acc * multiplier + parameter(layer, "addend", at) + half
    product = _wrapped(exact)
    how = f"times {multiplier}, plus {half}" + ("" if product == exact else ", wrapped to int32")
    return [Line("product", product, how), _rounded("rounded", product, shift, "floor")]


def _max7800x(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    bias, shift = parameter(layer, "bias", at), 7 - parameter(layer, "output_shift", at)
    total = acc + (bias << 7)
    return [Line("with bias", total, f"+ ({bias} << 7)"), _rounded("rounded", total, shift, "half_up")]


def _nngen(acc: int, layer: Layer, at: Coordinate) -> list[Line]:
    return [_rounded("rounded", acc, parameter(layer, "out_shift", at), "half_away")]


STEPS: Mapping[str, Callable[[int, Layer, Coordinate], list[Line]]] = {
    "requantize_tflite": _double_rounding,
    "requantize_cmsis_nn": _double_rounding,
    "requantize_tflite_single": _single_rounding,
    "requantize_cmsis_nn_single": _cmsis_nn_single,
    "requantize_tflite_int64": _int64,
    "requantize_tflite_float64": _float64,
    "requantize_tosa": _tosa,
    "requantize_xnnpack_fp32": _float32,
    "requantize_xnnpack_rndnu": _rndnu,
    "requantize_onnx_reference": _onnx_reference,
    "requantize_nvdla": _nvdla,
    "requantize_gemmini": _float32,
    "requantize_pulp": _pulp,
    "requantize_max7800x": _max7800x,
    "requantize_nngen": _nngen,
}
"""Op -> the numbers up to the rounded product."""
