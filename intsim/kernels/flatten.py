"""flatten: two axes out of many."""

from __future__ import annotations

from typing import Any

import numpy as np


def flatten(x: np.ndarray[Any, Any], *, axis: int, pool: object = None) -> np.ndarray[Any, Any]:
    """x as two axes, split before `axis`; a view where the memory allows."""
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    return x.reshape(rows, x.size // rows) if rows else x.reshape(rows, int(np.prod(x.shape[axis:])))
