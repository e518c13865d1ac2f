"""XNNPACK's fp32 requantizer: from the accumulator to the output code, as `requantize_float32` with a domain."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import int32_sums
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize_float32 import requantize_float32


def requantize_xnnpack_fp32(
    acc: Array,
    *,
    multiplier: Any,
    zero_point: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    half_even(clamp(float32(acc) * multiplier, low - zero_point, high - zero_point)) + zero_point, all in float32.
    acc: integers, each an int32. multiplier: float32 from 2**-32 to below 256, scalar or [channels] along axis;
    zero_point likewise. Raises ValueError outside that.
    Source: XNNPACK, src/xnnpack/requantization.h, xnn_qs8_requantize_fp32.
    """
    return requantize_float32(
        int32_sums(acc),
        multiplier=bounded(multiplier),
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
    )


def bounded(multiplier: Any) -> Array:
    """float32[channels], of length 1 for a scalar. Raises ValueError unless 2**-32 <= multiplier < 256."""
    factors = per_channel(multiplier, np.float32)
    good = (factors >= 2.0**-32) & (factors < 256)
    if not good.all():
        raise ValueError(f"multiplier must be at least 2**-32 and below 256, not {float(factors[~good][0])!r}")
    return factors
