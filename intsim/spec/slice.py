"""A part of an array."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import INT64
from intsim.spec.reduce import distinct_axes


def slice(
    x: npt.ArrayLike,
    *,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...],
    steps: tuple[int, ...],
) -> npt.NDArray[Any]:
    """x[start:end:step] on each of the axes, dtype kept.

    Negative starts and ends count from the end of the axis; both are then clamped to it. steps: not 0.
    An end before the first element, going backwards, is below -length. Raises OutOfDomain. Source: ONNX's Slice.
    """
    array = np.asarray(x)
    chosen = distinct_axes(axes, array.ndim)
    index = [builtins.slice(None)] * array.ndim
    count = len(chosen)
    firsts = checks.integers(starts, count, *INT64, "starts")
    lasts = checks.integers(ends, count, *INT64, "ends")
    strides = checks.integers(steps, count, *INT64, "steps")
    for axis, start, end, step in zip(chosen, firsts, lasts, strides, strict=True):
        if step == 0:
            raise OutOfDomain("steps must not be 0")
        index[axis] = _bounded(start, end, step, array.shape[axis])
    return array[tuple(index)]


def _bounded(start: int, end: int, step: int, length: int) -> builtins.slice:
    # a negative end that is still negative once the length is added lies before the first element: None, in Python
    last = None if step < 0 and end < -length else end
    # backwards, ONNX clamps a start before the first element to that element; Python would select nothing
    return builtins.slice(max(start, -length) if step < 0 else start, last, step)
