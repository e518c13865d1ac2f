"""Two axes out of many."""

from __future__ import annotations

from math import prod

from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all


def flatten(x: Array, *, axis: int, pool: Sharing = run_all) -> Array:
    """x's elements as [product of the lengths before axis, product of the others] (ONNX Flatten). pool: not used."""
    outer = axis + x.ndim if axis < 0 else axis
    return x.reshape(prod(x.shape[:outer]), prod(x.shape[outer:]))
