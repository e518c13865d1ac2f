"""Requantization by a float32 multiplier: from the accumulator to the output code, as ONNX Runtime does it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import widen
from intsim.kernels.saturate import clamp, code_dtype, float_limits


def requantize_float32(
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
    acc: integers. multiplier: float32, scalar or [channels] along axis; zero_point likewise.
    Raises ValueError for more than 24 bits, whose codes float32 does not hold.
    Source: MLAS's requantization of int32 sums in ONNX Runtime, qgemm.cpp and quantize.cpp.
    """
    low, high, zeros = float_limits(bits, signed, narrow, per_channel(zero_point))
    rows, (factors, low, high, zeros) = channel_rows(
        widen(acc), axis, per_channel(multiplier, np.float32), low, high, zeros
    )
    out = np.empty(rows.shape, code_dtype(bits, signed))
    pool(lambda start, stop: _rows(rows, factors, low, high, zeros, out, start, stop), len(rows))
    return out.reshape(acc.shape)


@kernel
def _rows(acc: Any, factors: Any, lows: Any, highs: Any, zeros: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        c = row % factors.shape[0]
        factor, low, high, zero = factors[c], lows[c], highs[c], zeros[c]
        for i in range(acc.shape[1]):
            scaled = clamp(np.float32(acc[row, i]) * factor, low, high)
            out[row, i] = np.int64(np.rint(scaled)) + zero
