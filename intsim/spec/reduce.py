"""Exact sums over axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import magnitude
from intsim.spec.integers import Integers, dtype_for, result


def distinct_axes(axes: Any, rank: int) -> tuple[int, ...]:
    """The axes counted from the front. Raises OutOfDomain if one is missing or given twice."""
    items = tuple(axes) if isinstance(axes, Iterable) else (axes,)
    found = tuple(checks.axis(axis, rank, "axes") for axis in items)
    if len(set(found)) != len(found):
        raise OutOfDomain(f"axes must be distinct, not {axes!r}")
    return found


def reduced_sum(x: Integers, axes: Any, keepdims: Any) -> tuple[Integers, int]:
    """The exact sums over the axes, and how many elements are in each. Raises OutOfDomain, also for none."""
    chosen = distinct_axes(axes, x.ndim)
    count = int(np.prod([x.shape[axis] for axis in chosen]))
    if count == 0:
        raise OutOfDomain(f"axes must have elements, not shape {x.shape} over {chosen}")
    largest = magnitude(x) * count
    total = x.astype(dtype_for(-largest, largest)).sum(axis=chosen, keepdims=checks.flag(keepdims, "keepdims"))
    return result(total), count
