"""Matrix product: sums of products of codes in an accumulator of a declared width."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, contiguous, per_channel
from intsim.kernels.mac import (
    TILE,
    add_rows,
    add_rows_saturating,
    centre,
    centred_dtype,
    extremes,
    require_int64,
)
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import accumulator_dtype, clamp, limits, wrap


def matmul(
    a: Array,
    b: Array,
    *,
    a_zero: int = 0,
    b_zero: Any = 0,
    bias: Array | None = None,
    accumulator_bits: int,
    overflow: str,
    check: bool = True,
    accumulate: str = "int64",
    pool: Sharing = run_all,
) -> tuple[Array, Array | None]:
    """The accumulators i32|i64[..., M, N], and where they overflowed, bool of that shape (None without check).

    acc[..., m, n] = sum over k of (a[..., m, k] - a_zero) * (b[..., k, n] - b_zero[n]) + bias[n]
    a: integers [..., M, K]. b: integers [..., K, N]. Shapes as for numpy.matmul. b_zero, bias: scalar or [N].
    overflow, check, accumulate, errors: as for `conv`; the order of the sum is k, then the bias.
    """
    shape = _result_shape(a.shape, b.shape)
    a = a.reshape(1, -1) if a.ndim == 1 else a
    b = b.reshape(-1, 1) if b.ndim == 1 else b
    terms, columns = b.shape[-2:]
    sums = contiguous(np.broadcast_to(per_channel(0 if bias is None else bias), columns))
    zeros = per_channel(b_zero)
    a_range, b_range = extremes(a, a_zero), extremes(b, zeros)
    require_int64(a_range, b_range, terms, sums, accumulator_bits, overflow, check)

    ordered = overflow == "saturate" and check
    dtype = np.int32 if accumulate == "int32" and not ordered else np.int64
    weights = centre(a, a_zero, dtype)
    planes = centre(b, zeros, centred_dtype(*b_range))
    if b.ndim == 2:
        weights, planes = weights.reshape(1, -1, terms), planes.reshape(1, -1)
    else:
        outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        weights = contiguous(np.broadcast_to(weights, (*outer, *a.shape[-2:]))).reshape(-1, *a.shape[-2:])
        planes = contiguous(np.broadcast_to(planes, (*outer, *b.shape[-2:]))).reshape(len(weights), -1)

    acc = np.empty((*weights.shape[:2], columns), accumulator_dtype(accumulator_bits))
    over = np.empty(acc.shape if check else (0, 0, 0), np.bool_)
    offsets = np.arange(terms, dtype=np.int64) * columns
    rows = _saturating_rows if ordered else _rows
    low, high = limits(accumulator_bits, True)
    if acc.size:
        pool(
            lambda start, stop: rows(
                planes, offsets, weights, sums, accumulator_bits, low, high, check, acc, over, start, stop
            ),
            acc.shape[0] * acc.shape[1],
        )
    return acc.reshape(shape), over.reshape(shape) if check else None


def _result_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """numpy.matmul's: a vector's axis is left out. ValueError where the lengths of the sum differ."""
    if a[-1] != b[max(len(b) - 2, 0)]:
        raise ValueError(f"cannot multiply shapes {a} and {b}: the sum has lengths {a[-1]} and {b[max(len(b) - 2, 0)]}")
    outer = np.broadcast_shapes(a[:-2], b[:-2])
    return (*outer, *(a[-2:-1] if len(a) > 1 else ()), *(b[-1:] if len(b) > 1 else ()))


@kernel
def _rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    bits: Any,
    low: Any,
    high: Any,
    check: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [batch * M] output rows; sums in any order, modulo 2**32 or 2**64."""
    lines, columns = out.shape[1], out.shape[2]
    sums = np.empty(min(columns, TILE), weights.dtype)
    for row in range(start, stop):
        n, m = row // lines, row % lines
        for first in range(0, columns, TILE):
            acc = sums[: min(TILE, columns - first)]
            acc[:] = 0
            add_rows(acc, planes[n, first:], offsets, weights[n, m])
            for j in range(acc.shape[0]):
                total = np.int64(acc[j]) + bias[first + j]
                out[n, m, first + j] = wrap(total, bits)
                if check:
                    over[n, m, first + j] = total < low or total > high


@kernel
def _saturating_rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    bits: Any,
    low: Any,
    high: Any,
    check: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [batch * M] output rows; each sum clamped, k in order, the bias last."""
    lines, columns = out.shape[1], out.shape[2]
    sums = np.empty(min(columns, TILE), np.int64)
    flags = np.empty(min(columns, TILE), np.bool_)
    for row in range(start, stop):
        n, m = row // lines, row % lines
        for first in range(0, columns, TILE):
            acc, clamped = sums[: min(TILE, columns - first)], flags[: min(TILE, columns - first)]
            acc[:] = 0
            clamped[:] = False
            add_rows_saturating(acc, clamped, planes[n, first:], offsets, weights[n, m], low, high)
            for j in range(acc.shape[0]):
                total = acc[j] + bias[first + j]
                value = clamp(total, low, high)
                out[n, m, first + j] = value
                over[n, m, first + j] = clamped[j] or value != total
