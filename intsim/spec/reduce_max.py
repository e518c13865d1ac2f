"""The largest element over axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.reduce import distinct_axes


def reduce_max(x: npt.ArrayLike, *, axes: tuple[int, ...], keepdims: bool) -> npt.NDArray[Any]:
    """y = max over axes of x: of equal elements the first one in the order of the axes as given; NaN is above all.

    x: codes or reals of any dtype, which is kept. axes: distinct, may count from the end; keepdims: they stay, with
    length 1. Raises OutOfDomain, also for a maximum of no elements. Source: ONNX's ReduceMax.
    """
    array = np.asarray(x)
    chosen, keep = distinct_axes(axes, array.ndim), checks.flag(keepdims, "keepdims")
    kept = [axis for axis in range(array.ndim) if axis not in chosen]
    if 0 in (array.shape[axis] for axis in chosen):
        raise OutOfDomain(f"axes must have elements, not shape {array.shape} over {chosen}")
    shape = [array.shape[axis] for axis in kept]
    rows = array.transpose(*kept, *chosen).reshape(*shape, -1)
    largest = np.take_along_axis(rows, rows.argmax(-1)[..., None], -1)
    return largest.reshape([1 if axis in chosen else n for axis, n in enumerate(array.shape)] if keep else shape)
