"""Clamping of codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, as_integers, result


def clip(x: npt.ArrayLike, *, low: int, high: int) -> Integers:
    """Codes: min(max(x, low), high).

    x: int[...]; low <= high, in codes. Returns i64 of x's shape. Raises OutOfDomain.
    """
    low, high = checks.integer(low, *INT64, "low"), checks.integer(high, *INT64, "high")
    if low > high:
        raise OutOfDomain(f"low must be at most high, not {low!r} with {high!r}")
    codes = as_integers(x, "x")
    return result(np.minimum(np.asarray(np.maximum(codes, low), codes.dtype), high))
