"""The products of activations with the levels of POST and POT weights, in integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.levels import BITS, GUARD_BITS, RULES, VARIANTS, Levels, product_table
from intsim.spec import checks
from intsim.spec.integers import Integers, as_integers, result

WIDEST = 1 << 17
"""The largest magnitude of an activation minus its zero point that a table is made for."""


def post_table(*, rule: str, bits: int, guard_bits: int, variant: str, low: int, high: int) -> Integers:
    """T[m, x - low], the product of x and the level of magnitude m, in units of 2**-F; row m = 0 is zero.

    m >= 1 has the level 2**(-k/2), with k = m - 1 (rule `post`) or k = 2 (m - 1) (`pot`). F = guard_bits. variant:
    `shared`: k even: x << (F - k/2), or x >> (k/2 - F) (floor) where that is negative;
              k odd:  LUT[x] >> ((k - 1)/2) (floor), LUT[x] = half_up(x * 2**(F - 1/2))
    `full`:   half_up(x * 2**(F - k/2))
    low, high: the range of x, an activation's code minus its zero point. Square roots are integer square roots.
    Returns int[2**(bits - 1), high - low + 1]. Raises OutOfDomain. Source: paper section "POST" of ASQ.
    """
    checks.one_of(rule, RULES, "rule")
    checks.one_of(variant, VARIANTS, "variant")
    bits = checks.integer(bits, *BITS, "bits")
    guard_bits = checks.integer(guard_bits, *GUARD_BITS, "guard_bits")
    low = checks.integer(low, -WIDEST, 0, "low")
    high = checks.integer(high, 0, WIDEST, "high")
    return result(product_table(Levels(rule, guard_bits, variant), bits, low, high))


def products(x: Integers, w: Integers, table: Integers, low: int) -> Integers:
    """sgn(w) * T[|w|, x - low], the two broadcast; x: without its zero point, w: codes."""
    half = len(table)
    looked_up = table[w % half, x - low]
    return np.where(w >= half, -looked_up, looked_up)


def look_up(x: Integers, table: Any, low: int) -> Integers:
    """The products of each x with every level, int[..., levels]: T[1 …, x - low] along a new last axis."""
    columns = checks.integer(low, -WIDEST, 0, "low")
    checks.within(x, columns, columns + table.shape[1] - 1, "x minus its zero point")
    return np.moveaxis(table[1:, (x - columns).astype(np.int64)], 0, -1)


def signs(w: Integers, levels: int) -> Integers:
    """The sign of each code at its level, int[..., levels] of -1, 0, 1 along a new last axis; none for a zero.

    Raises OutOfDomain for codes outside 0 … 2 levels + 1, and for a negative zero.
    """
    half = levels + 1
    checks.within(w, 0, 2 * half - 1, "w")
    negative, magnitude = w >= half, w % half
    checks.within(np.where(negative, magnitude, 1), 1, levels, "magnitude of a negative w")
    sign = np.where(negative, -1, 1)[..., np.newaxis]
    return result(np.where(magnitude[..., np.newaxis] == np.arange(1, half), sign, 0))


def checked(table: Any) -> Integers:
    """The table as integers. Raises OutOfDomain unless it is [2**(bits - 1), values] for 2 to 8 bits, row 0 zero."""
    rows = as_integers(table, "table")
    if rows.ndim != 2 or len(rows) not in [1 << (bits - 1) for bits in range(BITS[0], BITS[1] + 1)] or rows[0].any():
        raise OutOfDomain(f"table must be [2**(bits - 1), values] for 2 to 8 bits, row 0 zero, not shape {rows.shape}")
    return rows
