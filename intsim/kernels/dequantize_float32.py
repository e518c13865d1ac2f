"""Codes to reals, as ONNX's DequantizeLinear defines it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all


def dequantize_float32(x: Array, *, scale: Any, zero_point: Any = 0, axis: int = 1, pool: Sharing = run_all) -> Array:
    """The reals, f32 in x's shape: float32(x - zero_point) * scale.

    x: integers. scale: float32, scalar or [channels] along axis; zero_point likewise.
    """
    rows, (scales, zeros) = channel_rows(x, axis, per_channel(scale, np.float32), per_channel(zero_point))
    out = np.empty(rows.shape, np.float32)
    pool(lambda start, stop: _rows(rows, scales, zeros, out, start, stop), len(rows))
    return out.reshape(x.shape)


@kernel
def _rows(x: Any, scales: Any, zeros: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        c = row % scales.shape[0]
        scale, zero = scales[c], zeros[c]
        for i in range(x.shape[1]):
            out[row, i] = np.float32(np.int64(x[row, i]) - zero) * scale
