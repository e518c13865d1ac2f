"""Weighted sums of rows: the inner loops of convolution and matrix product, and the proof that int64 holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.saturate import clamp, limits

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
def add_rows_saturating(acc: Any, clamped: Any, rows: Any, offsets: Any, weights: Any, low: Any, high: Any) -> None:
    """acc[i] = clamp(acc[i] + weights[k] * rows[offsets[k] + i], low, high) for k in order; int64.

    clamped[i] becomes True where a sum was clamped.
    """
    n = acc.shape[0]
    for k in range(weights.shape[0]):
        x = rows[offsets[k] : offsets[k] + n]
        w = weights[k]
        for i in range(n):
            total = acc[i] + w * x[i]
            acc[i] = clamp(total, low, high)
            clamped[i] |= acc[i] != total


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


def require_int64(
    x: tuple[int, int], w: tuple[int, int], terms: int, bias: Array, bits: int, overflow: str, check: bool
) -> None:
    """Raise ValueError where int64 might not hold an exact sum that has to be compared with the accumulator's range.

    x, w: bounds of the factors. Without a check the sums are exact modulo 2**64, which is all that `wrap` needs.
    """
    if not check:
        return
    product = max(map(abs, x)) * max(map(abs, w))
    largest = product * terms
    if overflow == "saturate":
        largest = min(largest, product + limits(bits, True)[1] + 1)
    largest += int(np.abs(bias.astype(np.float64)).max(initial=0)) + 1
    if largest >= 1 << 63:
        raise ValueError(
            f"{terms} products of up to {product} may leave int64: use operands of fewer bits, or the spec"
        )
