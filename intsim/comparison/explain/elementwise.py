"""Add, Sub and Mul of two codes."""

from __future__ import annotations

import numpy as np

from intsim.comparison.explain.elements import Elements, broadcast_at
from intsim.comparison.explain.explanation import Coordinate, Line, Read, Step
from intsim.comparison.explain.float32 import fma, round_saturate
from intsim.comparison.explain.quotient import requantized
from intsim.lowering.lowered import Layer


def explain_add(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round((((a - a_zero) << a_shift) ± ((b - b_zero) << b_shift)) / 2**shift) + zero_point)."""
    p, reads = layer.parameters, _reads(elements, layer, at)
    aligned = [(int(r.value) - int(p[f"{k}_zero"])) << int(p[f"{k}_shift"]) for r, k in zip(reads, "ab", strict=True)]
    total = aligned[0] - aligned[1] if layer.op == "sub" else aligned[0] + aligned[1]
    lines = [
        Line(k, value, f"code {r.value}, zero point {int(p[f'{k}_zero'])}, << {int(p[f'{k}_shift'])}")
        for k, value, r in zip("ab", aligned, reads, strict=True)
    ]
    lines.append(Line("difference" if layer.op == "sub" else "sum", total, "exact"))
    return _shifted(elements, layer, at, reads, lines, total)


def explain_mul(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round((a - a_zero) (b - b_zero) / 2**shift) + zero_point)."""
    reads, centred = _reads(elements, layer, at), _centred(elements, layer, at)
    lines = [Line(k, value, "minus its zero point") for k, value in zip("ab", centred, strict=True)]
    product = centred[0] * centred[1]
    return _shifted(elements, layer, at, reads, [*lines, Line("product", product, "exact")], product)


def explain_add_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(half_even(fma(a, a_ratio, fma(b, b_ratio, k)))).

    k = zero_point - fma(a_ratio, a_zero, b_ratio * b_zero).
    """
    p, reads = layer.parameters, _reads(elements, layer, at)
    a, b = (np.float32(read.value) for read in reads)
    a_ratio, b_ratio = np.float32(p["a_ratio"]), np.float32(p["b_ratio"])
    a_zero, b_zero, zero = (np.float32(p[key]) for key in ("a_zero", "b_zero", "zero_point"))
    constant = zero - fma(a_ratio, a_zero, b_ratio * b_zero)
    inner = fma(b, b_ratio, constant)
    outer = fma(a, a_ratio, inner)
    lines, rules = round_saturate(outer, layer)
    before = [
        Line("a_ratio", float(a_ratio), "a's scale over the output's, float32"),
        Line("b_ratio", float(b_ratio), "b's scale over the output's, float32"),
        Line("k", float(constant), "zero_point - fma(a_ratio, a_zero, b_ratio * b_zero)"),
        Line("inner", float(inner), "fma(b, b_ratio, k)"),
        Line("outer", float(outer), "fma(a, a_ratio, inner)"),
    ]
    return _step(elements, layer, at, reads, [*before, *lines], rules)


def explain_mul_float32(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(half_even(float32(float32((a - a_zero) (b - b_zero)) * ratio) + zero_point))."""
    p, reads, centred = layer.parameters, _reads(elements, layer, at), _centred(elements, layer, at)
    product = centred[0] * centred[1]
    ratio, zero = np.float32(p["ratio"]), np.float32(p["zero_point"])
    scaled = np.float32(product) * ratio
    moved = scaled + zero
    lines, rules = round_saturate(moved, layer)
    before = [
        *(Line(k, value, "minus its zero point") for k, value in zip("ab", centred, strict=True)),
        Line("product", product, "exact"),
        Line("scaled", float(scaled), f"float32(product) * {float(ratio)!r}, rounded to float32"),
        Line("with zero point", float(moved), f"+ {int(p['zero_point'])}, rounded to float32"),
    ]
    return _step(elements, layer, at, reads, [*before, *lines], rules)


def explain_add_quotient(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = clip(round(((a - a_zero) * a_factor + (b - b_zero) * b_factor) / divisor) + zero_point)."""
    p = layer.parameters
    a, b = _centred(elements, layer, at)
    total = a * int(p["a_factor"]) + b * int(p["b_factor"])
    rounded, rules = requantized(total, int(p["divisor"]), p["rounding"], int(p["zero_point"]), layer)
    before = [
        *(Line(k, value, "minus its zero point") for k, value in zip("ab", (a, b), strict=True)),
        Line("sum", total, f"a * {int(p['a_factor'])} + b * {int(p['b_factor'])}"),
    ]
    return _step(elements, layer, at, _reads(elements, layer, at), [*before, *rounded], rules)


def _reads(elements: Elements, layer: Layer, at: Coordinate) -> list[Read]:
    return [elements.read(name, broadcast_at(elements.shape(name), at)) for name in layer.inputs]


def _centred(elements: Elements, layer: Layer, at: Coordinate) -> list[int]:
    reads = _reads(elements, layer, at)
    return [int(r.value) - int(layer.parameters[f"{k}_zero"]) for r, k in zip(reads, "ab", strict=True)]


def _shifted(
    elements: Elements, layer: Layer, at: Coordinate, reads: list[Read], lines: list[Line], exact: int
) -> Step:
    p = layer.parameters
    shift = int(p["shift"])
    n, d = exact << max(-shift, 0), 1 << max(shift, 0)
    rounded, rules = requantized(n, d, p["rounding"], int(p["zero_point"]), layer)
    return _step(elements, layer, at, reads, [*lines, Line("shift", shift, f"over 2**{shift}"), *rounded], rules)


def _step(
    elements: Elements, layer: Layer, at: Coordinate, reads: list[Read], lines: list[Line], rules: dict[str, int]
) -> Step:
    name = layer.outputs[0]
    return Step(name, layer.op, elements.place(name, at), lines[-1].value, tuple(reads), (), tuple(lines), rules)
