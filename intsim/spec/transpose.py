"""Axes in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks


def transpose(x: npt.ArrayLike, *, perm: tuple[int, ...]) -> npt.NDArray[Any]:
    """y whose axis i is x's axis perm[i], dtype kept. Raises OutOfDomain. Source: ONNX's Transpose."""
    array = np.asarray(x)
    order = checks.integers(perm, array.ndim, 0, array.ndim - 1, "perm")
    if len(set(order)) != array.ndim:
        raise OutOfDomain(f"perm must be an order of {array.ndim} axes, not {perm!r}")
    return array.transpose(order)
