"""A part of an array."""

from __future__ import annotations

import builtins

from intsim.kernels.layout import Array, contiguous
from intsim.kernels.parallel import Sharing, run_all


def slice(
    x: Array,
    *,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...],
    steps: tuple[int, ...],
    pool: Sharing = run_all,
) -> Array:
    """x from start to before end by step along each of the axes, contiguous.

    Negative starts and ends count from the end, and both are clamped to the axis (ONNX Slice). pool: not used.
    """
    cut = [builtins.slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        length = x.shape[axis]
        first = start + length if start < 0 else start
        stop = end + length if end < 0 else end
        if step > 0:
            cut[axis] = builtins.slice(min(max(first, 0), length), min(max(stop, 0), length), step)
        else:
            # -1 stands for "before the first element", which a Python slice spells None
            stop = min(max(stop, -1), length - 1)
            cut[axis] = builtins.slice(min(max(first, 0), length - 1), None if stop < 0 else stop, step)
    return contiguous(x[tuple(cut)])
