"""The same elements in another shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.windows import LONGEST


def reshape(x: npt.ArrayLike, *, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """x with the lengths `shape`, elements in row order, dtype kept.

    shape: 0 takes x's length on that axis; -1, at most once, is whatever is left. Raises OutOfDomain.
    Source: ONNX's Reshape with allowzero = 0.
    """
    array = np.asarray(x)
    wanted = checks.integers(shape, len(tuple(shape)), -1, LONGEST, "shape")
    if any(length == 0 and axis >= array.ndim for axis, length in enumerate(wanted)) or wanted.count(-1) > 1:
        raise OutOfDomain(f"shape must fit {array.shape}, not {shape!r}")
    lengths = [array.shape[axis] if length == 0 else length for axis, length in enumerate(wanted)]
    known = math.prod(length for length in lengths if length != -1)
    if -1 in lengths:
        lengths[lengths.index(-1)] = array.size // known if known else 0
    if math.prod(lengths) != array.size:
        raise OutOfDomain(f"shape must fit {array.shape}, not {shape!r}")
    return array.reshape(lengths)
