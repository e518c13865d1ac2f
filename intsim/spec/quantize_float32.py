"""Reals to codes as ONNX Runtime computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import clamp_round, code_range, reals, scales
from intsim.spec.integers import Integers


@standard_floats()
def quantize_float32(
    r: npt.ArrayLike,
    *,
    scale: Any,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Codes: half_even(clamp(float32(r / scale), low - zero_point, high - zero_point)) + zero_point.

    r: f32[N, C, ...] (any rank), no NaN. scale: positive float32, scalar or [C] along `axis`; zero_point: int or [C].
    bits (at most 16), signed, narrow: the output format. Returns i64 of r's shape. Raises OutOfDomain.
    Source: ONNX's QuantizeLinear; ONNX Runtime, MLAS quantize.cpp.
    """
    values = reals(r, "r")
    low, high = code_range(bits, signed, narrow)
    zero = checks.channelwise(zero_point, axis, values.shape, low, high, "zero_point")
    with np.errstate(over="ignore", under="ignore"):
        quotient = values / scales(scale, axis, values.shape, "scale")
    return clamp_round(quotient, zero, low, high)
