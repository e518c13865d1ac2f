"""Axes of length 1 taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec.reduce import distinct_axes


def squeeze(x: npt.ArrayLike, *, axes: tuple[int, ...]) -> npt.NDArray[Any]:
    """x without the axes, each of length 1, dtype kept.

    axes: distinct, may count from the end. Raises OutOfDomain. Source: ONNX's Squeeze.
    """
    array = np.asarray(x)
    gone = distinct_axes(axes, array.ndim)
    if any(array.shape[axis] != 1 for axis in gone):
        raise OutOfDomain(f"axes must have length 1, not {axes!r} of shape {array.shape}")
    return array.squeeze(gone)
