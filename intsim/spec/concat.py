"""Arrays joined along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks


def concat(*xs: npt.ArrayLike, axis: int) -> npt.NDArray[Any]:
    """All elements of xs one after the other along `axis`, dtype kept.

    xs: one or more arrays of one rank, equal lengths off the axis. Raises OutOfDomain. Source: ONNX's Concat.
    """
    arrays = [np.asarray(x) for x in xs]
    if not arrays:
        raise OutOfDomain("xs must be at least one array")
    axis = checks.axis(axis, arrays[0].ndim)
    if len({(*a.shape[:axis], -1, *a.shape[axis + 1 :]) for a in arrays}) != 1:
        raise OutOfDomain(f"xs must have equal lengths off axis {axis}, not shapes {[a.shape for a in arrays]}")
    return np.concatenate(arrays, axis)
