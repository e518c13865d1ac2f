"""The float32 steps of ONNX Runtime's requantizers, one at a time, each rounded on its own."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from intsim.comparison.explain.explanation import Line
from intsim.comparison.explain.quotient import clipped, code_range, describe_real
from intsim.formats import ROUNDINGS, round_quotient
from intsim.lowering.lowered import Layer

SIGNIFICAND = 24
LOWEST_EXPONENT = -149


def fma(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    """a * b + c, exact, then rounded once to float32."""
    return to_float32(_exact(a) * _exact(b) + _exact(c))


def to_float32(value: Fraction) -> np.float32:
    """The float32 nearest to an exact number, ties to even; infinite where it is beyond float32."""
    if value == 0:
        return np.float32(0)
    exponent = _floor_log2(abs(value)) - (SIGNIFICAND - 1)
    exponent = max(exponent, LOWEST_EXPONENT)
    units = round_quotient(*(value / Fraction(2) ** exponent).as_integer_ratio(), "half_even")
    with np.errstate(over="ignore"):
        return np.float32(math.ldexp(units, exponent))


def clamp_round(value: np.float32, zero_point: int, layer: Layer) -> tuple[list[Line], dict[str, int]]:
    """The lines of half_even(clamp(value to [low - zero, high - zero])) + zero; the code that each rule would give."""
    low, high = code_range(layer)
    clamped = min(max(value, np.float32(low - zero_point)), np.float32(high - zero_point))
    lines = [] if clamped == value else [Line("clamped", float(clamped), f"to {low - zero_point}…{high - zero_point}")]
    rounded = _round(clamped, "half_even")
    lines.append(Line("rounded", rounded, f"{describe_real(_exact(clamped))}; half_even"))
    rules = {rule: _round(clamped, rule) + zero_point for rule in ROUNDINGS}
    return [*lines, *clipped(rounded, zero_point, layer)], rules


def round_saturate(value: np.float32, layer: Layer) -> tuple[list[Line], dict[str, int]]:
    """The lines of clip(half_even(value)); the code that each rule would give."""
    low, high = code_range(layer)
    if math.isinf(value):
        code = high if value > 0 else low
        return [Line("code", code, f"clipped to {low}…{high}")], dict.fromkeys(ROUNDINGS, code)
    rounded = _round(value, "half_even")
    lines = [Line("rounded", rounded, f"{describe_real(_exact(value))}; half_even")]
    rules = {rule: min(max(_round(value, rule), low), high) for rule in ROUNDINGS}
    return [*lines, *clipped(rounded, 0, layer)], rules


def _round(value: np.float32, rule: str) -> int:
    return round_quotient(*_exact(value).as_integer_ratio(), rule)


def _exact(value: np.float32) -> Fraction:
    return Fraction(float(value))


def _floor_log2(value: Fraction) -> int:
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if Fraction(2) ** guess <= value else guess - 1
