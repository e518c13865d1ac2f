"""Axes of length 1 put in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.spec.reduce import distinct_axes


def unsqueeze(x: npt.ArrayLike, *, axes: tuple[int, ...]) -> npt.NDArray[Any]:
    """x with axes of length 1 at these places of the result, dtype kept.

    axes: distinct, may count from the result's end. Raises OutOfDomain. Source: ONNX's Unsqueeze.
    """
    array = np.asarray(x)
    return np.expand_dims(array, distinct_axes(axes, array.ndim + len(tuple(axes))))
