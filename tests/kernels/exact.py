"""float32 arithmetic on fractions: another way to compute what kernels and spec compute, one value at a time."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def float32(value: Fraction | int) -> Fraction:
    """The float32 nearest to an exact value, ties to even (not beyond the largest float32)."""
    value = Fraction(value)
    if value == 0:
        return value
    exponent = abs(value).numerator.bit_length() - abs(value).denominator.bit_length()
    if abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    return round(value / unit) * unit  # Python's round is half_even


def fraction(value: np.float32) -> Fraction:
    """A float32 as an exact value."""
    return Fraction(float(value))
