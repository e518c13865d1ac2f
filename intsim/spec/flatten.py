"""flatten: two axes out of many, codes in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intsim.spec import checks


def flatten(x: np.ndarray[Any, Any], *, axis: int) -> np.ndarray[Any, Any]:
    """x as [prod(shape[:axis]), prod(shape[axis:])], dtype kept.

    axis: may count from the end, and be the rank itself. Raises OutOfDomain. Source: ONNX's Flatten.
    """
    axis = checks.integer(axis, -x.ndim, x.ndim, "axis")
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
