"""Integer division by powers of two and by integers, under the nine rounding rules, in int64."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array

RULES = {
    "half_up": 0,
    "half_down": 1,
    "half_even": 2,
    "half_away": 3,
    "half_to_zero": 4,
    "floor": 5,
    "ceil": 6,
    "toward_zero": 7,
    "away_from_zero": 8,
}
"""The rounding rules and their numbers in compiled code. The first five round to nearest and name what a tie does."""

MAX_SHIFT = 62
"""The widest shift of `shift_right`, whose sum of remainder and rounding term is below 2**(shift + 1)."""


def shift_terms(rounding: str, shift: int) -> tuple[int, int, int]:
    """What is added to v before `v >> shift` so that it rounds by the rule.

    Three terms: one always, one if v < 0, one if v >> shift is odd. half_even: half less one, and one more where the
    floor is odd, so that a tie goes up only there.
    """
    if shift == 0:
        return 0, 0, 0
    half, most = 1 << (shift - 1), (1 << shift) - 1
    return {
        "half_up": (half, 0, 0),
        "half_down": (half - 1, 0, 0),
        "half_even": (half - 1, 0, 1),
        "half_away": (half, -1, 0),
        "half_to_zero": (half - 1, 1, 0),
        "floor": (0, 0, 0),
        "ceil": (most, 0, 0),
        "toward_zero": (0, most, 0),
        "away_from_zero": (most, -most, 0),
    }[rounding]


@kernel
def shift_right(v: Any, shift: Any, always: Any, negative: Any, odd: Any) -> Any:
    """round(v / 2**shift) for int64 v and 0 <= shift <= MAX_SHIFT, with the terms of `shift_terms`.

    The terms are added to the remainder, not to v, because v + term may leave int64.
    """
    floor = v >> shift
    remainder = v - (floor << shift)
    return floor + ((remainder + always + (v < 0) * negative + (floor & 1) * odd) >> shift)


def fold(v: Array, shift: Array) -> Array:
    """v >> shift, int64, its lowest bit set where a one was shifted out: shifted by 2 or more yet, it rounds as v."""
    shift = np.minimum(shift, 63)
    lost = v & ((np.int64(1) << shift) - 1)
    return np.asarray((v >> shift) | (lost != 0))


@kernel
def divide(n: Any, d: Any, rule: Any) -> Any:
    """round(n / d) for int64 n and d > 0, where rule is a number of RULES."""
    floor = n // d
    remainder = n - floor * d
    if remainder == 0 or rule == 5:
        return floor
    if rule == 6:
        return floor + 1
    if rule == 7:
        return floor + (n < 0)
    if rule == 8:
        return floor + (n > 0)
    to_next = d - remainder
    if remainder != to_next:
        return floor + (remainder > to_next)
    if rule == 0:
        return floor + 1
    if rule == 1:
        return floor
    if rule == 2:
        return floor + (floor & 1)
    if rule == 3:
        return floor + (n > 0)
    return floor + (n < 0)


def require_quotient(elements: tuple[int, int], counts: tuple[int, ...], shift: int) -> None:
    """Raise ValueError where int64 might not hold both terms of sum / (count * 2**shift), or the sum of two of them.

    elements: bounds of what is summed; count: at most the product of counts.
    """
    count = prod(counts)
    sums = count * max(map(abs, elements))
    if max(sums << max(-shift, 0), count << max(shift, 0)) >= 1 << 62:
        raise ValueError(f"sums of {count} elements over 2**{shift} may leave int64: use the spec")
