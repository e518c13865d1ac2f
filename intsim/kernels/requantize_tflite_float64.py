"""The requantizer of LiteRT's reference FULLY_CONNECTED: from the accumulator to the output code through float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import int32_sums, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp, wrap


def requantize_tflite_float64(
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

    clip(half_away(float64(acc) * multiplier) + zero_point).
    acc: integers, each an int32. multiplier: float64, scalar or [channels] along axis; zero_point likewise.
    Raises ValueError where the rounded product is no int32. Source: LiteRT's reference FULLY_CONNECTED.
    """
    return run(
        _rows,
        int32_sums(acc),
        (per_channel(multiplier, np.float64), per_channel(zero_point)),
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
        refused="the rounded product must be an int32",
    )


@kernel
def _rows(
    acc: Any, factors: Any, zeros: Any, low: Any, high: Any, out: Any, outside: Any, start: Any, stop: Any
) -> None:
    """|product| + 0.5 would round up just below a half: the fraction, which is exact, is compared instead."""
    inner = acc.shape[1]
    for row in range(start, stop):
        c = row % factors.shape[0]
        first_outside = inner
        for i in range(inner):
            product = clamp(np.float64(acc[row, i]) * factors[c], -1099511627776.0, 1099511627776.0)
            size = abs(product)
            whole = np.floor(size)
            v = np.int64(whole) + (size - whole >= 0.5)
            v = -v if product < 0 else v
            first_outside = min(first_outside, inner if v == wrap(v, 32) else i)
            out[row, i] = clamp(v + zeros[c], low, high)
        outside[row] = first_outside
