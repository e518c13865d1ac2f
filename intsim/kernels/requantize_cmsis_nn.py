"""CMSIS-NN's requantizer in its default build, with double rounding: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.gemmlowp import double_rounding
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import INT32, int32_sums, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp


def requantize_cmsis_nn(
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

    clip(half_away(half_up((acc << max(shift, 0)) * multiplier / 2**31) / 2**max(-shift, 0)) + zero_point).
    acc: integers, each an int32. multiplier: int32 but -2**31; shift: -31 to 30; both and zero_point scalar or
    [channels] along axis. Raises ValueError outside that.
    Source: CMSIS-NN, Include/arm_nnsupportfunctions.h, arm_nn_requantize.
    """
    parameters = (
        parameter(multiplier, INT32[0] + 1, INT32[1], "multiplier"),
        parameter(shift, -31, 30, "shift"),
        per_channel(zero_point),
    )
    return run(_rows, int32_sums(acc), parameters, bits=bits, signed=signed, narrow=narrow, axis=axis, pool=pool)


@kernel
def _rows(
    acc: Any,
    multipliers: Any,
    shifts: Any,
    zeros: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    for row in range(start, stop):
        c = row % zeros.shape[0]
        multiplier, shift, zero = multipliers[c], shifts[c], zeros[c]
        for i in range(acc.shape[1]):
            out[row, i] = clamp(double_rounding(np.int64(acc[row, i]), multiplier, shift) + zero, low, high)
