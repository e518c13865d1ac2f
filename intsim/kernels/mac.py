"""Weighted sums of rows: the inner loops of convolution and matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.saturate import clamp

TILE = 2048
"""Sums that are carried at a time; they and the rows that they read stay in the first-level cache."""


@kernel
def add_rows(acc: Any, rows: Any, offsets: Any, weights: Any) -> None:
    """acc[i] += sum over k of weights[k] * rows[offsets[k] + i], modulo 2**32 or 2**64 as acc's dtype says.

    Four rows at a time, so that the sums are loaded and stored once in four multiplications.
    """
    n = acc.shape[0]
    whole = weights.shape[0] // 4 * 4
    for k in range(0, whole, 4):
        x0 = rows[offsets[k] : offsets[k] + n]
        x1 = rows[offsets[k + 1] : offsets[k + 1] + n]
        x2 = rows[offsets[k + 2] : offsets[k + 2] + n]
        x3 = rows[offsets[k + 3] : offsets[k + 3] + n]
        w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for i in range(n):
            acc[i] += w0 * x0[i] + w1 * x1[i] + w2 * x2[i] + w3 * x3[i]
    for k in range(whole, weights.shape[0]):
        x0 = rows[offsets[k] : offsets[k] + n]
        w0 = weights[k]
        for i in range(n):
            acc[i] += w0 * x0[i]


@kernel
def add_rows_saturating(acc: Any, moved: Any, rows: Any, offsets: Any, weights: Any, low: Any, high: Any) -> None:
    """acc[i] = clamp(acc[i] + weights[k] * rows[offsets[k] + i], low, high) for k in order, in acc's dtype.

    acc's dtype holds the accumulator and one product more. moved[i], of the same dtype, gets a bit for each bit that a
    clamp changed, so that it is 0 where none did. Four rows at a time, as in `add_rows`.
    """
    lane = acc.dtype.type
    least, most = lane(low), lane(high)
    n = acc.shape[0]
    whole = weights.shape[0] // 4 * 4
    for k in range(0, whole, 4):
        x0 = rows[offsets[k] : offsets[k] + n]
        x1 = rows[offsets[k + 1] : offsets[k + 1] + n]
        x2 = rows[offsets[k + 2] : offsets[k + 2] + n]
        x3 = rows[offsets[k + 3] : offsets[k + 3] + n]
        w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for i in range(n):
            sum0 = lane(acc[i] + lane(w0 * x0[i]))
            acc0 = clamp(sum0, least, most)
            sum1 = lane(acc0 + lane(w1 * x1[i]))
            acc1 = clamp(sum1, least, most)
            sum2 = lane(acc1 + lane(w2 * x2[i]))
            acc2 = clamp(sum2, least, most)
            sum3 = lane(acc2 + lane(w3 * x3[i]))
            acc3 = clamp(sum3, least, most)
            moved[i] |= (sum0 ^ acc0) | (sum1 ^ acc1) | (sum2 ^ acc2) | (sum3 ^ acc3)
            acc[i] = acc3
    for k in range(whole, weights.shape[0]):
        x0 = rows[offsets[k] : offsets[k] + n]
        w0 = weights[k]
        for i in range(n):
            total = lane(acc[i] + lane(w0 * x0[i]))
            acc[i] = clamp(total, least, most)
            moved[i] |= total ^ acc[i]


def extremes(x: Array, zero: Any) -> tuple[int, int]:
    """Bounds of x - zero: by the dtype for 8 and 16 bits, by the data for more, where the dtype would prove little."""
    if x.dtype.itemsize <= 2:
        info = np.iinfo(x.dtype)
        low, high = int(info.min), int(info.max)
    else:
        low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
    zeros = np.asarray(zero)
    return low - int(zeros.max()), high - int(zeros.min())


def centred_dtype(low: int, high: int) -> type[np.signedinteger[Any]]:
    """The smallest of int16, int32, int64 that holds low to high (8 bits less a zero point need 9)."""
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return np.int64


def centre(x: Array, zero: Any, dtype: type[np.signedinteger[Any]]) -> Array:
    """x - zero as a contiguous array of the dtype, modulo its width."""
    return np.ascontiguousarray(np.subtract(x, zero, dtype=dtype, casting="unsafe"))
