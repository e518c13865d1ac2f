"""Shares that add up to one, in float32: only for the float tail of a network."""

from __future__ import annotations

import numpy as np

from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all


def softmax(r: Array, *, axis: int, pool: Sharing = run_all) -> Array:
    """exp(r - max) / sum(exp(r - max)) along axis, f32 in r's shape. Float arithmetic, not exact. pool: not used.

    r: float32.
    """
    powers = np.exp(r - r.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True), np.float32)
