"""A shifted accumulator becomes codes: floor and clip in one pass, and the mask of what was inside for the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array


def round_clip(v: Array, low: int, high: int, mask: Array | None = None) -> Array:
    """The codes clip(floor(v), low, high), float32[n]; float32 v are overwritten by them.

    v: float32[n] or float64[n], contiguous, the half already added where half_up is meant. mask: bool[n] to fill with
    whether floor(v) lies in low … high.
    """
    out = v if v.dtype == np.float32 else np.empty(v.shape, np.float32)
    if mask is None:
        _codes(v, v.dtype.type(low), v.dtype.type(high), out)
    else:
        _codes_and_mask(v, v.dtype.type(low), v.dtype.type(high), out, mask)
    return out


def masked(gradient: Array, mask: Array, out: Array) -> None:
    """Write the gradient where the mask is true, zero elsewhere, to `out`; all [n] and contiguous."""
    _masked(gradient, mask, out)


@kernel
def _codes(v: Any, low: Any, high: Any, out: Any) -> None:
    for i in range(v.shape[0]):
        out[i] = min(max(np.floor(v[i]), low), high)


@kernel
def _codes_and_mask(v: Any, low: Any, high: Any, out: Any, mask: Any) -> None:
    for i in range(v.shape[0]):
        code = np.floor(v[i])
        kept = min(max(code, low), high)
        mask[i] = kept == code
        out[i] = kept


@kernel
def _masked(gradient: Any, mask: Any, out: Any) -> None:
    for i in range(gradient.shape[0]):
        out[i] = gradient[i] if mask[i] else 0.0
