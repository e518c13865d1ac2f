"""Convolution: sums of products of codes in an accumulator of a declared width."""

from __future__ import annotations

from dataclasses import replace
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
    in_mac_order,
    is_ordered,
    make_walk,
    only_clamps,
    require_sums_in_int64,
    walk_rows,
)
from intsim.kernels.lanes import EXACT, FULL, SLACK, magnitude, saturating_lanes, saturating_rows, with_slack
from intsim.kernels.layout import Array, contiguous, per_channel
from intsim.kernels.mac import TILE, add_rows, centre, centred_dtype, extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import accumulator_dtype, clamp, limits, wrap

PASS_BYTES = 8 << 20
"""Padded input that is made at a time: many images go in passes, so that it stays in cache and memory stays small."""

SATURATING_TILE = 256
"""Saturating sums that are carried at a time: few enough that the rows that they read stay in cache."""


def conv(
    x: Array,
    w: Array,
    *,
    x_zero: int = 0,
    w_zero: Any = 0,
    bias: Array | None = None,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
    accumulator_bits: int,
    overflow: str,
    summation: Any = None,
    constant: Any = 0,
    check: bool = True,
    accumulate: str = "int64",
    pool: Sharing = run_all,
) -> tuple[Array, Array | None]:
    """The accumulators i32|i64[N, O, (H,) W], and what could not hold a value, u8 of that shape (None without check).

    acc[n, o, y, x] = sum over c, i, j of (x[n, g + c, y*s + i*d - p, …] - x_zero) * (w[o, c, i, j] - w_zero[o])
                      + bias[o] + constant[o]
    x: integers [N, C, (H,) W]. w: integers [O, C / groups, (KH,) KW]. w_zero, bias, constant: scalar or [O]. pads:
    begins, then ends. accumulate: "int32" or "int64", the width of the sums on the way to the accumulator, where their
    order is free. overflow: `wrap`, `saturate`, or `trap`: as `wrap`, and the caller raises. summation: the order, the
    adder tree, the passes and the rest of the walk; the events are 1 accumulator, 2 tree, 4 spill.
    check=False: the caller knows that no value leaves its range (or asks for `wrap` and not for where), so that any
    order will do. accumulate="int32" is the faster, and right if no exact sum leaves int32, or if
    accumulator_bits <= 32 and check=False.
    Raises ValueError for shapes that do not fit, and where int64 does not hold the exact sums (operands of 32 bits).
    """
    if x.ndim == 3:
        acc, over = conv(
            x[:, :, None],
            w[:, :, None],
            x_zero=x_zero,
            w_zero=w_zero,
            bias=bias,
            strides=(1, *strides),
            pads=(0, pads[0], 0, pads[1]),
            dilations=(1, *dilations),
            groups=groups,
            accumulator_bits=accumulator_bits,
            overflow=overflow,
            summation=_with_rows(summation),
            constant=constant,
            check=check,
            accumulate=accumulate,
            pool=pool,
        )
        return acc[:, :, 0], None if over is None else over[:, :, 0]
    images, outputs = x.shape[0], w.shape[0]
    if x.shape[1] != groups * w.shape[1] or outputs % groups:
        raise ValueError(f"groups must split x {x.shape} and w {w.shape} evenly, not {groups!r}")
    biases, constants = (
        contiguous(np.broadcast_to(per_channel(0 if v is None else v), outputs)) for v in (bias, constant)
    )
    zeros = per_channel(w_zero)
    terms = prod(w.shape[1:])
    ordered = is_ordered(summation, overflow, check)
    x_offset, w_offset = factor_offsets(summation, ordered, x_zero, zeros)
    x_range, w_range = extremes(x, x_offset), extremes(w, w_offset)
    x_range = min(x_range[0], x_zero - x_offset), max(x_range[1], x_zero - x_offset)  # what padding supplies
    if check or ordered:
        corrected = correction_bound(summation, terms, extremes(x, x_zero), extremes(w, zeros), (x_zero, zeros))
        require_sums_in_int64(
            x_range, w_range, terms, accumulator_bits, overflow, summation, (biases, constants), corrected
        )

    clamps = only_clamps(summation, overflow)
    shape, phases, plane, taps = _geometry(x.shape, w.shape, strides, pads, dilations)
    dtype: type[np.signedinteger[Any]] = np.int32 if accumulate == "int32" and not ordered else np.int64
    how, most = FULL, max(1, *map(abs, x_range))
    clamps &= ordered
    weights = centre(w, w_offset.reshape(-1, 1, 1, 1), centred_dtype(*w_range) if clamps else np.int64)
    weights = weights.reshape(outputs, -1)
    if ordered and summation is not None:
        index = in_mac_order(summation, w.shape[1:])
        weights, taps = contiguous(weights[:, index]), contiguous(taps[index])
    if clamps:
        largest = most * max(-int(weights.min(initial=0)), int(weights.max(initial=0)))
        dtype, how = saturating_lanes(accumulator_bits, largest)
    weights = weights.astype(dtype, copy=False)
    acc = np.empty((images, outputs, *shape), accumulator_dtype(accumulator_bits))
    over = np.empty(acc.shape if check or ordered else (0, 0, 0, 0), np.uint8)
    if acc.size == 0:
        return acc, over if check else None

    source = contiguous(x)
    centred = centred_dtype(*x_range)
    image_bytes = x.shape[1] * len(phases) * prod(plane) * np.dtype(centred).itemsize
    at_once = max(1, PASS_BYTES // image_bytes)
    group = (outputs // groups, x.shape[1] // groups * len(phases) * prod(plane))
    low, high = limits(accumulator_bits, True)
    sums = (biases, constants, summation is not None and summation.bias_first, low, high, most)
    tile_lines = min(shape[0], max(1, SATURATING_TILE // plane[1]))
    at_a_time = min(group[0], 2)
    units = -(-shape[0] // tile_lines) * groups * -(-group[0] // at_a_time)
    walk = make_walk(summation, accumulator_bits, overflow, w.shape[1], prod(w.shape[2:])) if ordered else None
    correction = np.zeros((0, 0, 0, 0), np.int64)
    if ordered and summation is not None and summation.offsets is not None:
        correction = _correction(x, w, x_zero, zeros, summation.offsets, strides, pads, dilations, groups, pool)

    def run_pass(part: slice) -> None:
        images = source[part]
        planes, memory = with_slack((len(images) * x.shape[1], len(phases), *plane), centred)
        lines = images.reshape(-1, *x.shape[2:])
        pool(
            lambda start, stop: _spread(
                lines, x_offset, x_zero - x_offset, phases, strides, pads[:2], planes, start, stop
            ),
            len(planes),
        )
        flat, out, flags = planes.reshape(len(images), -1), acc[part], over[part]
        count = len(images) * outputs
        if walk is None:
            total = biases + constants
            rule = (accumulator_bits, low, high, overflow == "saturate")
            pool(
                lambda start, stop: _rows(
                    flat, taps, weights, total, group, plane[1], rule, check, out, flags, start, stop
                ),
                count,
            )
        elif clamps:
            pool(
                lambda start, stop: _saturating_rows(
                    memory,
                    taps,
                    weights,
                    sums,
                    (*group, flat.shape[1], plane[1], tile_lines, at_a_time, how),
                    out,
                    flags,
                    start,
                    stop,
                ),
                len(images) * units,
            )
        else:
            own = correction[part]
            pool(
                lambda start, stop: _ordered_rows(
                    flat, taps, weights, biases, constants, own, walk, group, plane[1], out, flags, start, stop
                ),
                count,
            )

    for first in range(0, images, at_once):
        run_pass(slice(first, first + at_once))
    return acc, over if check else None


def _with_rows(summation: Any) -> Any:
    """The summation of a kernel with one row more, for one that has columns only."""
    if summation is None or summation.order is None:
        return summation
    order = tuple(2 * axis for axis in summation.order)  # 0 the channels, 1 the columns, which become axis 2
    return replace(summation, order=(*order, 1))


def _correction(
    x: Array,
    w: Array,
    x_zero: int,
    w_zero: Array,
    offsets: tuple[int, int],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
    pool: Sharing,
) -> Array:
    """sum (x - x_zero)(w - w_zero) - sum (x - x_offset)(w - w_offset), int64[N, O, H, W]; padding is the code x_zero.

    = -dw[o] * (sum of x - x_zero over the window) - dx * (sum of w - w_zero) - terms * dx * dw[o], d = zero - offset.
    """
    dx, dw = x_zero - offsets[0], np.broadcast_to(w_zero, len(w)) - offsets[1]
    ones = np.ones((groups, *w.shape[1:]), np.int8)
    windows, _ = conv(
        x,
        ones,
        x_zero=x_zero,
        strides=strides,
        pads=pads,
        dilations=dilations,
        groups=groups,
        accumulator_bits=64,
        overflow="wrap",
        check=False,
        pool=pool,
    )
    centred = w.astype(np.int64) - w_zero.reshape(-1, 1, 1, 1)
    fixed = dx * centred.reshape(len(w), -1).sum(axis=1) + prod(w.shape[1:]) * dx * dw
    wide = np.repeat(windows, len(w) // groups, axis=1)
    return contiguous(-dw.reshape(-1, 1, 1) * wide - fixed.reshape(-1, 1, 1))


def _geometry(
    x: tuple[int, ...],
    w: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, int], Array, tuple[int, int], Array]:
    """Output height and width, the phases [P, 2], height and width of a phase plane, and each tap's offset.

    Phase (r, c) of a padded image is its every stride-th row from r and column from c. In its phase each kernel tap
    reads one contiguous run for many output rows, whatever strides, pads and dilations are: the output position
    (y, x) lies at y * width + x, and the tap adds a constant. Between the rows a few sums are computed in vain.
    """
    height, width = (
        (x[2 + d] + pads[d] + pads[2 + d] - dilations[d] * (w[2 + d] - 1) - 1) // strides[d] + 1 for d in (0, 1)
    )
    if height < 1 or width < 1:
        raise ValueError(f"kernel {w[2:]} with dilations {dilations} must fit in {x[2:]} with pads {pads}")
    taps = [(i * dilations[0], j * dilations[1]) for i in range(w[2]) for j in range(w[3])]
    phases = sorted({(i % strides[0], j % strides[1]) for i, j in taps})
    plane = (
        height + (w[2] - 1) * dilations[0] // strides[0],
        width + (w[3] - 1) * dilations[1] // strides[1],
    )
    within = np.array(
        [
            phases.index((i % strides[0], j % strides[1])) * prod(plane) + i // strides[0] * plane[1] + j // strides[1]
            for i, j in taps
        ],
        np.int64,
    )
    channel = np.arange(w[1], dtype=np.int64) * (len(phases) * prod(plane))
    offsets = (channel[:, None] + within).reshape(-1)
    return (height, width), np.array(phases, np.int64), plane, offsets


@kernel
def _spread(
    x: Any,
    zero: Any,
    outside: Any,
    phases: Any,
    strides: Any,
    pads: Any,
    planes: Any,
    start: Any,
    stop: Any,
) -> None:
    """planes[r, p, i, j] = x[r, i*stride + phase - pad, …] - zero, and `outside` outside the image."""
    height, width = x.shape[1], x.shape[2]
    for row in range(start, stop):
        for p in range(phases.shape[0]):
            left = phases[p, 1] - pads[1]
            for i in range(planes.shape[2]):
                line = planes[row, p, i]
                line[:] = outside
                y = i * strides[0] + phases[p, 0] - pads[0]
                if 0 <= y < height:
                    first = max(0, -(left // strides[1]))
                    end = min(line.shape[0], (width - 1 - left) // strides[1] + 1)
                    for j in range(first, end):
                        line[j] = np.int64(x[row, y, left + j * strides[1]]) - zero


@kernel
def _rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    group: Any,
    pitch: Any,
    rule: Any,
    check: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [N * O] output planes; sums in any order, modulo 2**32 or 2**64."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    bits, low, high, saturates = rule
    lines = min(height, max(1, TILE // pitch))
    sums = np.empty((lines - 1) * pitch + width, weights.dtype)
    for row in range(start, stop):
        n, o = row // outputs, row % outputs
        base = o // group[0] * group[1]
        for top in range(0, height, lines):
            count = min(lines, height - top)
            acc = sums[: (count - 1) * pitch + width]
            acc[:] = 0
            add_rows(acc, planes[n, base + top * pitch :], offsets, weights[o])
            for y in range(count):
                for x in range(width):
                    total = np.int64(acc[y * pitch + x]) + bias[o]
                    out[n, o, top + y, x] = clamp(total, low, high) if saturates else wrap(total, bits)
                    if check:
                        over[n, o, top + y, x] = total < low or total > high


@kernel
def _saturating_rows(
    memory: Any,
    offsets: Any,
    weights: Any,
    added: Any,
    geometry: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Units [start, stop) of [N, tiles, groups, pairs of outputs]; each sum clamped, in the order of offsets.

    A unit is one tile of two output channels, which read the same rows; the last of an odd number is on its own, and
    of depthwise convolutions each is.
    """
    bias, constant, bias_first, low, high, most = added
    per_group, group_size, image_size, pitch, lines, at_a_time, how = geometry
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    pairs = -(-per_group // at_a_time)
    in_tile, tiles = outputs // per_group * pairs, -(-height // lines)
    reach = np.empty(outputs, np.int64)
    for o in range(outputs):
        reach[o] = magnitude(weights[o])
    sums = np.zeros((2, (lines - 1) * pitch + width + SLACK), weights.dtype)
    moved = np.zeros_like(sums)
    for unit in range(start, stop):
        n, place = unit // (tiles * in_tile), unit % (tiles * in_tile)
        top, g, pair = place // in_tile * lines, place % in_tile // pairs, place % pairs
        o = g * per_group + pair * at_a_time
        last = min(o + at_a_time, (g + 1) * per_group) - 1
        count = min(lines, height - top)
        length = (count - 1) * pitch + width
        never = True
        for m in range(last - o + 1):
            before = clamp(bias[o + m], low, high) if bias_first else np.int64(0)
            never &= reach[o + m] <= min(before - low, high - before) // most  # reach * most may leave int64
            sums[m, :length] = before
            moved[m, :length] = 0
        rule = EXACT if never else how
        base = memory[n * image_size + g * group_size + top * pitch :]
        saturating_rows(sums, moved, base, offsets, weights[o], weights[last], (low, high), at_a_time, length, rule)
        for m in range(last - o + 1):
            channel = o + m
            late = np.int64(0) if bias_first else bias[channel]
            clamped_before = bias_first and clamp(bias[channel], low, high) != bias[channel]
            for y in range(count):
                for x in range(width):
                    at = y * pitch + x
                    total = np.int64(sums[m, at]) + late
                    value = clamp(total, low, high)
                    result = clamp(value + constant[channel], low, high)
                    changed = value != total or result != value + constant[channel]
                    out[n, channel, top + y, x] = result
                    over[n, channel, top + y, x] = moved[m, at] != 0 or changed or clamped_before


@kernel
def _ordered_rows(
    planes: Any,
    offsets: Any,
    weights: Any,
    bias: Any,
    constant: Any,
    correction: Any,
    walk: Any,
    group: Any,
    pitch: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop) of the [N * O] output planes; the whole walk, in int64."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    lines = min(height, max(1, TILE // pitch))
    sums = np.empty((lines - 1) * pitch + width, np.int64)
    flags = np.empty(sums.shape[0], np.uint8)
    nodes = np.empty((walk.width, sums.shape[0]), np.int64)
    corrected = correction.size > 0
    for row in range(start, stop):
        n, o = row // outputs, row % outputs
        base = o // group[0] * group[1]
        before = np.int64(0)
        if walk.first:
            before = hold(bias[o], walk.holds[0]) if walk.each else bias[o]
        for top in range(0, height, lines):
            count = min(lines, height - top)
            acc, events = sums[: (count - 1) * pitch + width], flags[: (count - 1) * pitch + width]
            acc[:] = before
            events[:] = ACCUMULATOR if walk.first and before != bias[o] else 0
            walk_rows(acc, events, planes[n, base + top * pitch :], offsets, weights[o], walk, nodes)
            for y in range(count):
                for x in range(width):
                    at = y * pitch + x
                    rest = correction[n, o, top + y, x] if corrected else np.int64(0)
                    value, event = finish(acc[at], events[at], corrected, rest, bias[o], constant[o], walk)
                    out[n, o, top + y, x] = value
                    over[n, o, top + y, x] = event
