"""CMSIS-NN's requantizer with single rounding: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import INT32, int32_sums, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp, wrap


def requantize_cmsis_nn_single(
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

    clip(half_up(floor(acc * multiplier / 2**(30 - shift)) / 2) + zero_point).
    acc: integers, each an int32. multiplier: int32; shift: -31 to 30; both and zero_point scalar or [channels]
    along axis. Raises ValueError outside that, and where the rounded product is no int32.
    Source: CMSIS-NN, Include/arm_nnsupportfunctions.h, arm_nn_requantize with CMSIS_NN_USE_SINGLE_ROUNDING.
    """
    parameters = (
        parameter(multiplier, *INT32, "multiplier"),
        parameter(shift, -31, 30, "shift"),
        per_channel(zero_point),
    )
    return run(
        _rows,
        int32_sums(acc),
        parameters,
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
        before_last = 30 - shift
        first_outside = inner
        for i in range(inner):
            v = (((np.int64(acc[row, i]) * multiplier) >> before_last) + 1) >> 1
            first_outside = min(first_outside, inner if v == wrap(v, 32) else i)
            out[row, i] = clamp(v + zero, low, high)
        outside[row] = first_outside
