"""NEMO's multipliers and divisors, which PULP's back ends (Deeploy, DORY) take from the model."""

from __future__ import annotations

import math
from fractions import Fraction

from intsim.errors import OutOfDomain
from intsim.formats import round_quotient


def multiplier_and_shift(x_scale: float, y_scale: float, factor: int = 32, longest: int = 31) -> tuple[int, int]:
    """(multiplier, shift), shift to the RIGHT: x_scale / y_scale is next to multiplier / 2**shift.

    shift = min(ceil(log2(factor * y_scale / x_scale)), longest), D = 2**shift; multiplier = half_even(D * x_scale /
    y_scale), so that its relative error is at most 1 / (2 * factor) where `longest` does not bind. For outputs of b
    bits the source's longest is 32 - b or 31 - b (limit_at_32_bits). Exact here; the source computes both in float32.
    Errors: OutOfDomain unless the scales are positive and finite and the shift is not negative.
    Source: pulp-platform/nemo, nemo/quant/pact.py, D of PACT_IntegerAct and PACT_Act, eps_ratio of
    pact_integer_requantize.
    """
    if not all(math.isfinite(s) and s > 0 for s in (x_scale, y_scale)):
        raise OutOfDomain(f"scales must be positive and finite, not {x_scale!r} and {y_scale!r}")
    ratio = Fraction(x_scale) / Fraction(y_scale)
    shift = min(ceil_log2(factor / ratio), longest)
    if shift < 0:
        raise OutOfDomain(f"the ratio of scales must be below {2 * factor}, not {float(ratio)!r}")
    return round_quotient(*(ratio * (1 << shift)).as_integer_ratio(), "half_even"), shift


def ceil_log2(value: Fraction) -> int:
    """The least k with value <= 2**k."""
    k = value.numerator.bit_length() - value.denominator.bit_length()
    while Fraction(2) ** k < value:
        k += 1
    while Fraction(2) ** (k - 1) >= value:
        k -= 1
    return k
