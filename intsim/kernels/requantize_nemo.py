"""NEMO's integer requantizer: from the accumulator to the output code by multiplication and floor division."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import widen
from intsim.kernels.saturate import INT64_HIGH, clamp


def requantize_nemo(
    acc: Array,
    *,
    multiplier: Any,
    divisor: Any,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(floor(acc * multiplier / divisor)).
    acc: integers. multiplier: int64; divisor: 1 to 2**62; each scalar or [channels] along axis.
    Raises ValueError outside that, and where the product is no int64. Source: nemo, nemo/quant/pact.py.
    """
    factors = per_channel(multiplier)
    # acc * factor fits exactly if acc is within the quotients of the ends, toward zero
    bounds = [_bounds(int(f)) for f in factors]
    parameters = (
        factors,
        np.array([low for low, _ in bounds], np.int64),
        np.array([high for _, high in bounds], np.int64),
        parameter(divisor, 1, 1 << 62, "divisor"),
    )
    return run(
        _rows,
        widen(acc),
        parameters,
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
        refused="the product must be an int64",
    )


def _bounds(factor: int) -> tuple[int, int]:
    if factor == 0:
        return -INT64_HIGH - 1, INT64_HIGH
    if factor > 0:
        return -((INT64_HIGH + 1) // factor), INT64_HIGH // factor
    return -(INT64_HIGH // -factor), min((INT64_HIGH + 1) // -factor, INT64_HIGH)


@kernel
def _rows(
    acc: Any,
    factors: Any,
    lows: Any,
    highs: Any,
    divisors: Any,
    low: Any,
    high: Any,
    out: Any,
    outside: Any,
    start: Any,
    stop: Any,
) -> None:
    inner = acc.shape[1]
    for row in range(start, stop):
        c = row % factors.shape[0]
        first_outside = inner
        for i in range(inner):
            v = np.int64(acc[row, i])
            first_outside = min(first_outside, inner if lows[c] <= v <= highs[c] else i)
            # a product that overflows is undefined in compiled code, not a wrapped one
            out[row, i] = clamp((clamp(v, lows[c], highs[c]) * factors[c]) // divisors[c], low, high)
        outside[row] = first_outside
