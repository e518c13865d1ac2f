"""flatten: two axes out of many, codes in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def flatten(x: np.ndarray[Any, Any], *, axis: int) -> np.ndarray[Any, Any]:
    """x as [prod(shape[:axis]), prod(shape[axis:])], dtype kept. Source: ONNX Flatten."""
    axis = axis + x.ndim if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))
