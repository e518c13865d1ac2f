"""The requantizer of ONNX's ReferenceEvaluator: from the accumulator to the output code through float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import int32_sums, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp


def requantize_onnx_reference(
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

    half_even(clip(float64(acc) * multiplier + zero_point)).
    acc: integers, each an int32. multiplier: float32, scalar or [channels] along axis; zero_point likewise.
    Source: onnx, onnx/reference/ops/op_qlinear_conv.py.
    """
    parameters = (
        per_channel(multiplier, np.float32).astype(np.float64),
        per_channel(zero_point).astype(np.float64),
    )
    return run(_rows, int32_sums(acc), parameters, bits=bits, signed=signed, narrow=narrow, axis=axis, pool=pool)


@kernel
def _rows(acc: Any, factors: Any, zeros: Any, low: Any, high: Any, out: Any, start: Any, stop: Any) -> None:
    least, most = np.float64(low), np.float64(high)
    for row in range(start, stop):
        c = row % factors.shape[0]
        for i in range(acc.shape[1]):
            shifted = np.float64(acc[row, i]) * factors[c] + zeros[c]
            out[row, i] = np.int64(np.rint(clamp(shifted, least, most)))
