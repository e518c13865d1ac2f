"""NVDLA's output converter (SDP): from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.multiplied import INT32, int32_sums, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp


def requantize_nvdla(
    acc: Array,
    *,
    multiplier: Any,
    shift: Any,
    offset: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(half_away((acc - offset) * multiplier / 2**shift)); the product is below 2**48, so a shift of 62 is as 63.
    acc: integers, each an int32. multiplier: int16; shift: 0 to 63; offset: int32; each scalar or [channels] along
    axis. Raises ValueError outside that. Source: nvdla/hw, cmod/hls/sdp/sdp_c.cpp.
    """
    parameters = (
        parameter(multiplier, -(1 << 15), (1 << 15) - 1, "multiplier"),
        np.minimum(parameter(shift, 0, 63, "shift"), 62),
        parameter(offset, *INT32, "offset"),
    )
    return run(_rows, int32_sums(acc), parameters, bits=bits, signed=signed, narrow=narrow, axis=axis, pool=pool)


@kernel
def _rows(
    acc: Any,
    multipliers: Any,
    shifts: Any,
    offsets: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    for row in range(start, stop):
        c = row % shifts.shape[0]
        multiplier, shift, offset = multipliers[c], shifts[c], offsets[c]
        half = (np.int64(1) << shift) >> 1
        away = np.int64(shift > 0)
        for i in range(acc.shape[1]):
            v = (np.int64(acc[row, i]) - offset) * multiplier
            out[row, i] = clamp((v + half - (away if v < 0 else 0)) >> shift, low, high)
