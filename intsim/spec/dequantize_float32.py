"""Codes to reals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import Float32, scales, to_float32
from intsim.spec.integers import INT64, as_integers, subtract


@standard_floats()
def dequantize_float32(x: npt.ArrayLike, *, scale: Any, zero_point: npt.ArrayLike = 0, axis: int = 1) -> Float32:
    """Reals: float32(x - zero_point) * scale; the difference is exact, then each step is rounded to float32.

    x: int[N, C, ...] (any rank). scale: positive float32, scalar or [C] along `axis`; zero_point: int or [C].
    Returns f32 of x's shape. Raises OutOfDomain. Source: ONNX's DequantizeLinear.
    """
    codes = as_integers(x, "x")
    zero = checks.channelwise(zero_point, axis, codes.shape, *INT64, "zero_point")
    factor = scales(scale, axis, codes.shape, "scale")
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(to_float32(subtract(codes, zero), "x - zero_point") * factor)
