"""The quotient of a mean: what pooling and reduction share."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, result, shift_left
from intsim.spec.rounding import LONGEST_SHIFT, divide
from intsim.spec.saturate import saturate


def rounded_mean(
    total: Integers,
    count: npt.ArrayLike,
    shift: int,
    rounding: str,
    zero_point: int,
    bits: int,
    signed: bool,
    narrow: bool,
) -> Integers:
    """clip(round(total / (count * 2**shift)) + zero_point): one exact quotient, one rounding. Raises OutOfDomain."""
    shift = checks.integer(shift, -LONGEST_SHIFT, LONGEST_SHIFT, "shift")
    low, high = checks.code_range(bits, signed, narrow)
    zero = checks.integer(zero_point, low, high, "zero_point")
    numerator = shift_left(total, result(max(-shift, 0)))
    denominator = shift_left(as_integers(count, "count"), result(max(shift, 0)))
    return saturate(add(divide(numerator, denominator, rounding), result(zero)), bits, signed, narrow)
