"""XNNPACK's rndnu requantizer: from the accumulator to the output code by a float32's significand."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import int32_sums, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize_xnnpack_fp32 import bounded
from intsim.kernels.saturate import clamp, wrap


def requantize_xnnpack_rndnu(
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

    clip(half_up(acc * m / 2**n) + zero_point), where multiplier = m / 2**n and 2**23 <= m < 2**24.
    acc: integers, each an int32. multiplier: float32 from 2**-32 to below 256, scalar or [channels] along axis;
    zero_point likewise. Raises ValueError outside that, and where the rounded product is no int32.
    Source: XNNPACK, src/xnnpack/requantization.h, xnn_qs8_requantize_rndnu.
    """
    significand, exponent = np.frexp(bounded(multiplier))
    return run(
        _rows,
        int32_sums(acc),
        (np.ldexp(significand, 24).astype(np.int64), 24 - exponent.astype(np.int64), per_channel(zero_point)),
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
        refused="the rounded product must be an int32",
    )


@kernel
def _rows(
    acc: Any,
    multipliers: Any,
    shifts: Any,
    zeros: Any,
    low: Any,
    high: Any,
    out: Any,
    outside: Any,
    start: Any,
    stop: Any,
) -> None:
    inner = acc.shape[1]
    for row in range(start, stop):
        c = row % zeros.shape[0]
        multiplier, shift, zero = multipliers[c], shifts[c], zeros[c]
        half = np.int64(1) << (shift - 1)
        first_outside = inner
        for i in range(inner):
            v = (np.int64(acc[row, i]) * multiplier + half) >> shift
            first_outside = min(first_outside, inner if v == wrap(v, 32) else i)
            out[row, i] = clamp(v + zero, low, high)
        outside[row] = first_outside
