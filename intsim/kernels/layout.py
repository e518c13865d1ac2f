"""How arrays are laid out for the compiled loops: one memory layout, so that each loop is compiled once a dtype."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels.parallel import Run, Sharing

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 1 << 14
"""Elements that an elementwise kernel hands to one thread at least; a call costs as much as some thousand elements."""


def contiguous(x: Array) -> Array:
    """x itself, or a copy that is C-contiguous, aligned, writeable and in native byte order.

    Numba compiles a loop again for each of the other layouts, read-only arrays included.
    """
    return np.require(x, x.dtype.newbyteorder("="), ["C", "A", "W"])


def per_channel(parameter: Any, dtype: Any = np.int64) -> Array:
    """A parameter that is a scalar or [channels], as dtype[channels] (of length 1 for a scalar)."""
    return np.ascontiguousarray(np.asarray(parameter, dtype).reshape(-1))


def channel_rows(x: Array, axis: int, *parameters: Array) -> tuple[Array, list[Array]]:
    """x as [rows, inner] and the parameters as [channels], so that row r has the parameters r % channels.

    Where all parameters are scalars the rows are the first two axes, else all axes up to the channels'.
    """
    channels = max(len(p) for p in parameters)
    axis %= max(x.ndim, 1)
    if channels > 1 and x.shape[axis] != channels:
        raise ValueError(f"axis {axis} of shape {x.shape} must have length {channels}, one entry per parameter")
    outer = axis + 1 if channels > 1 else min(2, x.ndim - 1)
    rows = contiguous(x).reshape(prod(x.shape[:outer]), prod(x.shape[outer:]))
    return rows, [contiguous(np.broadcast_to(p, channels)) for p in parameters]


def flat_pair(a: Array, b: Array) -> tuple[Array, Array, tuple[int, ...]]:
    """a and b broadcast to their common shape, each as one contiguous row, and that shape."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    flat_a, flat_b = (contiguous(np.broadcast_to(x, shape)).reshape(-1) for x in (a, b))
    return flat_a, flat_b, shape


def share_elements(pool: Sharing, run: Run, size: int) -> None:
    """run(start, stop) over ranges of elements, shared out in whole blocks.

    A loop then cuts its range out first and counts from 0: with a start of unknown sign each index would be tested for
    being negative, and nothing would be vectorised.
    """
    pool(lambda start, stop: run(start * BLOCK, min(stop * BLOCK, size)), -(-size // BLOCK))
