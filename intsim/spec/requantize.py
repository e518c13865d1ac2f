"""The shift requantizer: accumulator to output code."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers
from intsim.spec.rounding import LONGEST_SHIFT, shift_right
from intsim.spec.saturate import saturate


def requantize(
    acc: npt.ArrayLike,
    *,
    shift: npt.ArrayLike,
    rounding: str,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(round(acc / 2**shift) + zero_point); a shift of zero or less shifts left, exactly.

    acc: i64[N, C, ...] (or object, any rank). shift, zero_point: int, [C] along `axis`, or an array that broadcasts.
    rounding: one of intsim.formats.ROUNDINGS; bits, signed, narrow: the output format.
    Returns i64 of acc's shape. Raises OutOfDomain.
    Source: paper section "DiffQuant", (19), which is rounding="half_up": (acc + (1 << (shift - 1))) >> shift.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.code_range(bits, signed, narrow)
    amount = checks.channelwise(shift, axis, acc.shape, -LONGEST_SHIFT, LONGEST_SHIFT, "shift")
    zero = checks.channelwise(zero_point, axis, acc.shape, low, high, "zero_point")
    return saturate(add(shift_right(acc, amount, rounding), zero), bits, signed, narrow)
