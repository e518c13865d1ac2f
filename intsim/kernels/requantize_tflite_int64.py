"""TFLite's requantizer of 64-bit accumulators: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import INT32, INT48, parameter, run, within
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp, wrap


def requantize_tflite_int64(
    acc: Array,
    *,
    multiplier: Any,
    shift: Any,
    zero_point: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(half_up(acc * m / 2**(15 - shift)) + zero_point) with m = min((multiplier + 2**15) >> 16, 2**15 - 1).
    acc: integers, each an int48. multiplier: 0 to 2**31 - 1; shift: -31 to 7; both and zero_point scalar or [channels]
    along axis. Raises ValueError outside that, and where the rounded product is no int32.
    Source: tflite-micro, kernels/internal/common.cc, MultiplyByQuantizedMultiplier of int64_t.
    """
    reduced = np.minimum((parameter(multiplier, 0, INT32[1], "multiplier") + (1 << 15)) >> 16, (1 << 15) - 1)
    return run(
        _rows,
        within(acc, *INT48, "acc").astype(np.int64, copy=False),
        (reduced, parameter(shift, -31, 7, "shift"), per_channel(zero_point)),
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
        total = 15 - shift
        half = np.int64(1) << (total - 1)
        first_outside = inner
        for i in range(inner):
            v = (acc[row, i] * multiplier + half) >> total
            first_outside = min(first_outside, inner if v == wrap(v, 32) else i)
            out[row, i] = clamp(v + zero, low, high)
        outside[row] = first_outside
