"""Matrix product: sums of products of codes in an accumulator of a declared width."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.accumulate import (
    ACCUMULATOR,
    correction_bound,
    factor_offsets,
    finish,
    hold,
    is_ordered,
    lane_dtype,
    make_walk,
    only_clamps,
    require_sums_in_int64,
    walk_rows,
)
from intsim.kernels.layout import Array, contiguous, per_channel
from intsim.kernels.mac import TILE, add_rows, add_rows_saturating, centre, centred_dtype, extremes
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
    summation: Any = None,
    constant: Any = 0,
    check: bool = True,
    accumulate: str = "int64",
    pool: Sharing = run_all,
) -> tuple[Array, Array | None]:
    """The accumulators i32|i64[..., M, N], and what could not hold a value, u8 of that shape (None without check).

    acc[..., m, n] = sum over k of (a[..., m, k] - a_zero) * (b[..., k, n] - b_zero[n]) + bias[n] + constant[n]
    a: integers [..., M, K]. b: integers [..., K, N]. Shapes as for numpy.matmul. b_zero, bias, constant: scalar or [N].
    overflow, summation, check, accumulate, errors: as for `conv`, with the terms k in the place of the channels.
    """
    shape = _result_shape(a.shape, b.shape)
    a = a.reshape(1, -1) if a.ndim == 1 else a
    b = b.reshape(-1, 1) if b.ndim == 1 else b
    terms, columns = b.shape[-2:]
    biases, constants = (
        contiguous(np.broadcast_to(per_channel(0 if v is None else v), columns)) for v in (bias, constant)
    )
    zeros = per_channel(b_zero)
    ordered = is_ordered(summation, overflow, check)
    a_offset, b_offset = factor_offsets(summation, ordered, a_zero, zeros)
    a_range, b_range = extremes(a, a_offset), extremes(b, b_offset)
    if check or ordered:
        corrected = correction_bound(summation, terms, extremes(a, a_zero), extremes(b, zeros), (a_zero, zeros))
        require_sums_in_int64(
            a_range, b_range, terms, accumulator_bits, overflow, summation, (biases, constants), corrected
        )

    clamps = only_clamps(summation, overflow)
    dtype: type[np.signedinteger[Any]] = np.int32 if accumulate == "int32" and not ordered else np.int64
    if ordered and clamps:
        dtype = lane_dtype(accumulator_bits, max(map(abs, a_range)) * max(map(abs, b_range)))
    correction = np.zeros((0, 0, 0), np.int64)
    if ordered and summation is not None and summation.offsets is not None:
        correction = _correction(a, b, a_zero, zeros, summation.offsets).reshape(-1, a.shape[-2], columns)
    weights = centre(a, a_offset, dtype)
    planes = centre(b, b_offset, centred_dtype(*b_range))
    if b.ndim == 2:
        weights, planes = weights.reshape(1, prod(a.shape[:-1]), terms), planes.reshape(1, -1)
        correction = correction.reshape(1, -1, columns) if correction.size else correction
    else:
        outer = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        weights = contiguous(np.broadcast_to(weights, (*outer, *a.shape[-2:]))).reshape(-1, *a.shape[-2:])
        planes = contiguous(np.broadcast_to(planes, (*outer, *b.shape[-2:]))).reshape(len(weights), -1)

    acc = np.empty((*weights.shape[:2], columns), accumulator_dtype(accumulator_bits))
    over = np.empty(acc.shape if check or ordered else (0, 0, 0), np.uint8)
    offsets = np.arange(terms, dtype=np.int64) * columns
    low, high = limits(accumulator_bits, True)
    count = acc.shape[0] * acc.shape[1] if acc.size else 0
    if not count:
        return acc.reshape(shape), over.reshape(shape) if check else None
    if not ordered:
        sums = biases + constants
        rule = (accumulator_bits, low, high, overflow == "saturate")
        pool(
            lambda start, stop: _rows(planes, offsets, weights, sums, rule, check, acc, over, start, stop),
            count,
        )
    elif clamps:
        first = summation is not None and summation.bias_first
        pool(
            lambda start, stop: _saturating_rows(
                planes, offsets, weights, biases, constants, first, low, high, acc, over, start, stop
            ),
            count,
        )
    else:
        walk = make_walk(summation, accumulator_bits, overflow, terms, 1)
        pool(
            lambda start, stop: _ordered_rows(
                planes, offsets, weights, biases, constants, correction, walk, acc, over, start, stop
            ),
            count,
        )
    return acc.reshape(shape), over.reshape(shape) if check else None


def _correction(a: Array, b: Array, a_zero: int, b_zero: Array, offsets: tuple[int, int]) -> Array:
    """sum (a - a_zero)(b - b_zero) - sum (a - a_offset)(b - b_offset), int64[..., M, N].

    = -db[n] * (sum of a - a_zero) - da * (sum of b - b_zero) - terms * da * db[n], d = zero - offset.
    """
    da, db = a_zero - offsets[0], b_zero - offsets[1]
    rows = (a.astype(np.int64) - a_zero).sum(axis=-1)[..., None]
    columns = (b.astype(np.int64) - b_zero).sum(axis=-2)[..., None, :]
    return contiguous(-db * rows - da * columns - b.shape[-2] * da * db)


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
    rule: Any,
    check: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [batch * M] output rows; sums in any order, modulo 2**32 or 2**64."""
    lines, columns = out.shape[1], out.shape[2]
    bits, low, high, saturates = rule
    sums = np.empty(min(columns, TILE), weights.dtype)
    for row in range(start, stop):
        n, m = row // lines, row % lines
        for first in range(0, columns, TILE):
            acc = sums[: min(TILE, columns - first)]
            acc[:] = 0
            add_rows(acc, planes[n, first:], offsets, weights[n, m])
            for j in range(acc.shape[0]):
                total = np.int64(acc[j]) + bias[first + j]
                out[n, m, first + j] = clamp(total, low, high) if saturates else wrap(total, bits)
                if check:
                    over[n, m, first + j] = total < low or total > high


@kernel
def _saturating_rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    constant: Any,
    bias_first: Any,
    low: Any,
    high: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [batch * M] output rows; each sum clamped, k in order."""
    lines, columns = out.shape[1], out.shape[2]
    sums = np.empty(min(columns, TILE), weights.dtype)
    moved = np.empty_like(sums)
    for row in range(start, stop):
        n, m = row // lines, row % lines
        for first in range(0, columns, TILE):
            acc, flags = sums[: min(TILE, columns - first)], moved[: min(TILE, columns - first)]
            for j in range(acc.shape[0]):
                acc[j] = clamp(bias[first + j], low, high) if bias_first else 0
                flags[j] = bias_first and clamp(bias[first + j], low, high) != bias[first + j]
            add_rows_saturating(acc, flags, planes[n, first:], offsets, weights[n, m], low, high)
            for j in range(acc.shape[0]):
                total = np.int64(acc[j]) + (np.int64(0) if bias_first else bias[first + j])
                value = clamp(total, low, high)
                last = clamp(value + constant[first + j], low, high)
                out[n, m, first + j] = last
                over[n, m, first + j] = flags[j] != 0 or value != total or last != value + constant[first + j]


@kernel
def _ordered_rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    constant: Any,
    correction: Any,
    walk: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [batch * M] output rows; the whole walk, in int64."""
    lines, columns = out.shape[1], out.shape[2]
    sums = np.empty(min(columns, TILE), np.int64)
    flags = np.empty(sums.shape[0], np.uint8)
    nodes = np.empty((walk.width, sums.shape[0]), np.int64)
    corrected = correction.size > 0
    for row in range(start, stop):
        n, m = row // lines, row % lines
        for first in range(0, columns, TILE):
            acc, events = sums[: min(TILE, columns - first)], flags[: min(TILE, columns - first)]
            for j in range(acc.shape[0]):
                before = np.int64(0)
                if walk.first:
                    before = hold(bias[first + j], walk.holds[0]) if walk.each else bias[first + j]
                acc[j] = before
                events[j] = ACCUMULATOR if walk.first and before != bias[first + j] else 0
            walk_rows(acc, events, planes[n, first:], offsets, weights[n, m], walk, nodes)
            for j in range(acc.shape[0]):
                rest = correction[n, m, first + j] if corrected else np.int64(0)
                late, last = bias[first + j], constant[first + j]
                value, event = finish(acc[j], events[j], corrected, rest, late, last, walk)
                out[n, m, first + j] = value
                over[n, m, first + j] = event
