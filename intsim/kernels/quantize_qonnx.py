"""QONNX's Quant: reals to codes in float32, the zero point before the rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp, code_dtype, limits

MODES = {
    "ROUND": 0,
    "HALF_EVEN": 0,
    "CEIL": 1,
    "FLOOR": 2,
    "UP": 3,
    "DOWN": 4,
    "HALF_UP": 5,
    "HALF_DOWN": 6,
}
"""QONNX's names of rounding modes and their numbers in compiled code."""


def quantize_qonnx(
    r: Array,
    *,
    scale: Any,
    zero_point: Any = 0,
    rounding_mode: str = "ROUND",
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in r's shape.

    round(clip(float32(r / scale) + zero_point)), each step in float32.
    r: finite float32. scale: float32, scalar or [channels] along axis; zero_point likewise. rounding_mode: a key of
    MODES, in any case. bits: 2 to 16, or one unsigned; narrow leaves out the lowest signed code, the highest unsigned.
    Raises ValueError outside that. Source: qonnx, src/qonnx/custom_op/general/intquant.py.
    """
    if not 1 + signed <= bits <= 16:
        raise ValueError(f"bits must be {1 + signed} to 16, not {bits!r}")
    mode = MODES[rounding_mode.upper()]
    low, high = limits(bits, signed, narrow)
    high -= narrow and not signed
    rows, (scales, zeros) = channel_rows(
        r.astype(np.float32, copy=False),
        axis,
        per_channel(scale, np.float32),
        per_channel(zero_point).astype(np.float32),
    )
    out = np.empty(rows.shape, code_dtype(bits, signed))
    pool(
        lambda start, stop: _rows(rows, scales, zeros, mode, np.float32(low), np.float32(high), out, start, stop),
        len(rows),
    )
    return out.reshape(r.shape)


@kernel
def _rows(
    reals: Any,
    scales: Any,
    zeros: Any,
    mode: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    half = np.float32(0.5)
    for row in range(start, stop):
        c = row % scales.shape[0]
        for i in range(reals.shape[1]):
            x = clamp(reals[row, i] / scales[c] + zeros[c], low, high)
            size = abs(x)
            if mode == 0:
                whole = np.rint(x)
            elif mode == 1:
                whole = np.ceil(x)
            elif mode == 2:
                whole = np.floor(x)
            elif mode == 3:
                whole = np.copysign(np.ceil(size), x)
            elif mode == 4:
                whole = np.trunc(x)
            elif mode == 5:
                whole = np.copysign(np.floor(size + half), x)
            else:
                whole = np.copysign(np.ceil(size - half), x)
            out[row, i] = np.int64(whole)
