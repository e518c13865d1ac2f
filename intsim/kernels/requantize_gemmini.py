"""Gemmini's accumulator scaling by a float32: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import INT32, int32_sums, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp


def requantize_gemmini(
    acc: Array,
    *,
    multiplier: Any,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(int32(half_even(float32(acc) * multiplier))), int32 saturating.
    acc: integers, each an int32. multiplier: positive float32, scalar or [channels] along axis.
    Source: gemmini, src/main/scala/gemmini/Configs.scala, acc_scale_args.
    """
    return run(
        _rows,
        int32_sums(acc),
        (per_channel(multiplier, np.float32),),
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
    )


@kernel
def _rows(acc: Any, factors: Any, low: Any, high: Any, out: Any, start: Any, stop: Any) -> None:
    least, most = max(low, INT32[0]), min(high, INT32[1])
    for row in range(start, stop):
        factor = factors[row % factors.shape[0]]
        for i in range(acc.shape[1]):
            # float32 holds -2**31 and 2**31, and the conversion to int64 is defined for both
            scaled = clamp(np.float32(acc[row, i]) * factor, np.float32(-2147483648.0), np.float32(2147483648.0))
            out[row, i] = clamp(np.int64(np.rint(scaled)), least, most)
