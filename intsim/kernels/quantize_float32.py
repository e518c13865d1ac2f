"""Reals to codes by a float32 division, as ONNX Runtime's QuantizeLinear does it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp, code_dtype, float_limits


def quantize_float32(
    r: Array,
    *,
    scale: Any,
    zero_point: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in r's shape.

    half_even(clamp(r / scale, low - zero_point, high - zero_point)) + zero_point, all in float32.
    r: float32 without NaN. scale: float32, scalar or [channels] along axis; zero_point likewise.
    Raises ValueError for more than 24 bits, whose codes float32 does not hold.
    Source: MlasQuantizeLinear in ONNX Runtime, mlas/lib/quantize.cpp.
    """
    low, high, zeros = float_limits(bits, signed, narrow, per_channel(zero_point))
    rows, (scales, low, high, zeros) = channel_rows(
        r.astype(np.float32, copy=False), axis, per_channel(scale, np.float32), low, high, zeros
    )
    out = np.empty(rows.shape, code_dtype(bits, signed))
    pool(lambda start, stop: _rows(rows, scales, low, high, zeros, out, start, stop), len(rows))
    return out.reshape(r.shape)


@kernel
def _rows(r: Any, scales: Any, lows: Any, highs: Any, zeros: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        c = row % scales.shape[0]
        scale, low, high, zero = scales[c], lows[c], highs[c], zeros[c]
        for i in range(r.shape[1]):
            out[row, i] = np.int64(np.rint(clamp(r[row, i] / scale, low, high))) + zero
