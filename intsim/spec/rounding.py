"""The nine rounding rules: every spec function that rounds does it here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import Integers, as_integers, bounds, result, shift_left

LONGEST_SHIFT = 1024
"""More than float32 scales can ask for (exponents -149 to 127, two of them added); a bound, not a limit of meaning."""


def shift_right(v: npt.ArrayLike, shift: npt.ArrayLike, rounding: str) -> Integers:
    """v / 2**shift, rounded to an integer by the named rule; a shift of zero or less shifts left, exactly.

    v: int[...] or object[...]; shift: int within -1024 to 1024, or an array that broadcasts; rounding: one of
    intsim.formats.ROUNDINGS. Returns int64, or object where a result does not fit.
    Raises OutOfDomain. With half_up this is DiffQuant's rnt, paper section "DiffQuant", (19).
    """
    v = as_integers(v, "v")
    amount = checks.channelwise(shift, None, v.shape, -LONGEST_SHIFT, LONGEST_SHIFT, "shift")
    right, left = np.asarray(np.maximum(amount, 0)), np.asarray(np.maximum(-amount, 0))
    v = shift_left(v, left)
    # up to a shift of 62, 2**shift and every remainder fit in int64 too
    dtype = v.dtype if bounds(right)[1] <= 62 else np.dtype(object)
    v, right = v.astype(dtype), right.astype(dtype)
    floor = np.asarray(v >> right, dtype)
    remainder = np.asarray(v - (floor << right), dtype)
    rest = np.asarray((np.ones_like(right) << right) - remainder, dtype)
    return result(floor + rounds_up(floor, remainder, rest, rounding).astype(dtype))


def divide(n: npt.ArrayLike, d: npt.ArrayLike, rounding: str) -> Integers:
    """n / d, rounded to an integer by the named rule.

    n: int[...] or object[...]; d: positive, the same shape or one that broadcasts; rounding: one of
    intsim.formats.ROUNDINGS. Returns int64, or object where a result does not fit. Raises OutOfDomain.
    """
    n, d = as_integers(n, "n"), as_integers(d, "d")
    if bounds(d)[0] <= 0 and d.size:
        raise OutOfDomain(f"d must be positive, not {bounds(d)[0]!r}")
    dtype = np.result_type(n.dtype, d.dtype)
    n, d = n.astype(dtype), d.astype(dtype)
    floor = np.asarray(n // d, dtype)
    remainder = np.asarray(n - floor * d, dtype)
    rest = np.asarray(d - remainder, dtype)
    return result(floor + rounds_up(floor, remainder, rest, rounding).astype(dtype))


def rounds_up(floor: Integers, remainder: Integers, rest: Integers, rounding: str) -> npt.NDArray[np.bool_]:
    """Where the rule takes floor + 1 in place of floor.

    The quotient lies remainder above floor and rest below floor + 1, in units of the divisor: remainder == rest is a
    tie, remainder == 0 an integer. A quotient that is no integer is negative exactly if its floor is.
    """
    checks.rounding(rounding)
    inexact, above, tie = remainder > 0, remainder > rest, remainder == rest
    negative, odd = floor < 0, floor & 1 == 1
    return np.asarray(
        {
            "half_up": above | tie,
            "half_down": above,
            "half_even": above | (tie & odd),
            "half_away": above | (tie & ~negative),
            "half_to_zero": above | (tie & negative),
            "floor": np.zeros_like(inexact),
            "ceil": inexact,
            "toward_zero": inexact & negative,
            "away_from_zero": inexact & ~negative,
        }[rounding]
    )
