"""ONNX Runtime's requantizer: accumulator to output code through float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import clamp_round, code_range, scales, to_float32
from intsim.spec.integers import Integers, as_integers


@standard_floats()
def requantize_float32(
    acc: npt.ArrayLike,
    *,
    multiplier: Any,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: half_even(clamp(float32(acc) * multiplier, low - zero_point, high - zero_point)) + zero_point.

    acc: i64[N, C, ...] (any rank). multiplier: positive float32, scalar or [C] along `axis`; the conversion and the
    product are each rounded to float32. zero_point: int or [C]; bits (at most 16), signed, narrow: the output format.
    Returns i64 of acc's shape. Raises OutOfDomain.
    Source: ONNX Runtime, QLinearConv and QLinearMatMul, MLAS quantize.cpp (MlasRequantizeOutput).
    """
    sums = as_integers(acc, "acc")
    low, high = code_range(bits, signed, narrow)
    zero = checks.channelwise(zero_point, axis, sums.shape, low, high, "zero_point")
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.asarray(to_float32(sums, "acc") * scales(multiplier, axis, sums.shape, "multiplier"))
    return clamp_round(scaled, zero, low, high)
