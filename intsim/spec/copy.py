"""The same codes under another name."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def copy(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """x, any shape and dtype, as an array of its own. Source: ONNX's Identity."""
    return np.array(x)
