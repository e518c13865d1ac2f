"""Functions of one code, as tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, as_integers, bounds


def table(x: npt.ArrayLike, *, table: npt.ArrayLike, low: int, axis: int = 1) -> Integers:
    """Output codes: table[x - low], or table[c, x - low] where c is the index on `axis`.

    x: int[...]. table: int[entries], or int[channels, entries] with one row per index of `axis`. low: the code of
    entry 0. Returns i64 of x's shape (object, where the table needs it). Raises OutOfDomain, also for a code outside
    the table.
    """
    codes, entries = as_integers(x, "x"), as_integers(table, "table")
    low = checks.integer(low, *INT64, "low")
    if entries.ndim not in (1, 2) or entries.size == 0:
        raise OutOfDomain(f"table must have 1 or 2 axes and an entry, not shape {entries.shape}")
    least, greatest = bounds(codes)
    if codes.size and not low <= least <= greatest < low + entries.shape[-1]:
        raise OutOfDomain(f"x must be within {low} to {low + entries.shape[-1] - 1}, not {least} to {greatest}")
    index = (codes - low).astype(np.int64)
    if entries.ndim == 1:
        return entries[index]
    axis = checks.axis(axis, codes.ndim)
    if len(entries) != codes.shape[axis]:
        raise OutOfDomain(f"table must have {codes.shape[axis]} rows, not {len(entries)}")
    rows = np.arange(len(entries)).reshape([-1 if i == axis else 1 for i in range(codes.ndim)])
    return entries[rows, index]
