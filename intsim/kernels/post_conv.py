"""Convolution with POST or POT weights: sums of looked-up products in an accumulator of a declared width."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.accumulate import finish, hold, in_mac_order, is_ordered, make_walk, only_clamps, walk_rows
from intsim.kernels.conv import _geometry, _with_rows
from intsim.kernels.lanes import SLACK, add_rows_at_once, with_slack
from intsim.kernels.layout import Array, contiguous, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import accumulator_dtype, clamp, limits, wrap

PASS_BYTES = 8 << 20
"""Planes of products that are made at a time: many images go in passes, so that memory stays small."""

TILE = 256
"""Sums that are carried at a time; all outputs use the same rows of products for them, which stay in the cache."""


def post_conv(
    x: Array,
    w: Array,
    *,
    table: Array,
    low: int,
    x_zero: int = 0,
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

    acc[n, o, y, x] = sum over c, i, j of sgn(w[o, c, i, j]) * T[|w[o, c, i, j]|, x[n, g + c, …] - x_zero]
                      + bias[o] + constant[o]
    x: integers [N, C, (H,) W]. w: codes [O, C / groups, (KH,) KW], sign in the most significant of their bits.
    table, low: T[m, x - x_zero - low], int[2**(bits - 1), values].
    The other arguments and errors are as for `conv`, but summation has no offsets.

    The activations are looked up once for each level that is used: a plane of products a level, shared by all output
    channels, which then only add and subtract rows of the planes.
    """
    if x.ndim == 3:
        acc, over = post_conv(
            x[:, :, None],
            w[:, :, None],
            table=table,
            low=low,
            x_zero=x_zero,
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
    if summation is not None and summation.offsets is not None:
        raise ValueError(f"summation must have no offsets, not {summation.offsets!r}")
    biases, constants = (
        contiguous(np.broadcast_to(per_channel(0 if v is None else v), outputs)) for v in (bias, constant)
    )
    half = len(table)
    codes = contiguous(w.reshape(outputs, -1).astype(np.uint8, copy=False))
    seen = np.zeros(256, np.bool_)
    _mark(codes, seen)
    used = np.flatnonzero(np.bitwise_or.reduce(seen.reshape(-1, half), axis=0)[1:]) + 1  # half is a power of 2
    products, at_once, narrow = _rows_of(table, used, codes.shape[1], (biases, constants))
    _check_look_ups(x, x_zero + low, table.shape[1])

    ordered = is_ordered(summation, overflow, check)
    clamps = only_clamps(summation, overflow)
    shape, phases, plane, within = _geometry(x.shape, w.shape, strides, pads, dilations)
    level_size = len(phases) * prod(plane)
    channel_size = len(used) * level_size
    channel = np.repeat(np.arange(w.shape[1]), prod(w.shape[2:])) * (channel_size - level_size)
    level = np.zeros(half, np.int64)
    level[used] = np.arange(len(used)) * level_size
    taps = within + channel
    if ordered and summation is not None:
        index = in_mac_order(summation, w.shape[1:])
        taps, codes = contiguous(taps[index]), contiguous(codes[:, index])
    starts = np.empty((outputs, 4), np.int64)
    offsets = np.empty(codes.size + 1, np.int32 if w.shape[1] * channel_size < 1 << 31 else np.int64)
    signs = np.empty(offsets.size if ordered else 0, np.int64)
    if ordered:
        _list(codes, half, taps, level, not clamps, starts, offsets, signs)
    else:
        _split(codes, half, taps, level, starts, offsets)
    acc = np.empty((images, outputs, *shape), accumulator_dtype(accumulator_bits))
    over = np.empty(acc.shape if check or ordered else (0, 0, 0, 0), np.uint8)
    if acc.size == 0:
        return acc, over if check else None

    source = contiguous(x)
    image_bytes = max(1, x.shape[1] * channel_size * products.itemsize)
    in_pass = max(1, PASS_BYTES // image_bytes)
    group = (outputs // groups, w.shape[1] * channel_size)
    lines = min(shape[0], max(1, TILE // plane[1]))
    tiles = -(-shape[0] // lines)
    low_end, high_end = limits(accumulator_bits, True)
    carry = np.zeros(0, np.int32 if narrow or accumulate == "int32" else np.int64)
    halved = _halved(products)
    walk = make_walk(summation, accumulator_bits, overflow, w.shape[1], prod(w.shape[2:])) if ordered else None
    first_bias = summation is not None and summation.bias_first
    lists = (starts, offsets, signs, group, plane[1], lines)

    def run_pass(part: slice) -> None:
        images = source[part]
        planes, memory = with_slack((len(images) * x.shape[1], len(used), len(phases), *plane), products.dtype)
        flat_x = images.reshape(-1, *x.shape[2:])
        pool(
            lambda start, stop: _spread(
                flat_x, x_zero + low, products, halved, phases, strides, pads[:2], planes, start, stop
            ),
            len(planes),
        )
        flat, out, flags = planes.reshape(len(images), -1), acc[part], over[part]
        count = len(images) * tiles * outputs
        if walk is None:
            rule = (accumulator_bits, low_end, high_end, overflow == "saturate")
            added = biases + constants
            pool(
                lambda start, stop: _rows(
                    memory, flat.shape[1], lists, added, rule, check, carry, at_once, out, flags, start, stop
                ),
                count,
            )
        elif clamps:
            sums = (biases, constants, first_bias, low_end, high_end)
            pool(lambda start, stop: _saturating_rows(flat, lists, sums, out, flags, start, stop), count)
        else:
            pool(lambda start, stop: _walked_rows(flat, lists, biases, constants, walk, out, flags, start, stop), count)

    for first in range(0, images, in_pass):
        run_pass(slice(first, first + in_pass))
    return acc, over if check else None


def _rows_of(table: Array, used: Array, terms: int, added: tuple[Array, ...]) -> tuple[Array, int, bool]:
    """The table's rows of the levels used, in the smallest dtype; how many of their products it can add; whether int32
    holds a sum of products.

    Raises ValueError where int32 does not hold a product, or int64 not the sum of all that is added.
    """
    rows = np.ascontiguousarray(table[used])
    low, high = min(int(rows.min(initial=0)), -1), max(int(rows.max(initial=0)), 1)
    most = max(-low, high)
    largest = most * terms + sum(int(np.abs(v.astype(np.float64)).max(initial=0)) for v in added)
    if most >= 1 << 31 or largest >= 1 << 62:
        raise ValueError(f"{terms} products of up to {most} may leave int64: use fewer guard bits, or the spec")
    end = 1 << 15 if low >= -(1 << 15) and high < 1 << 15 else 1 << 31
    at_once = min(end // -low, (end - 1) // high)
    return rows.astype(np.int16 if end == 1 << 15 else np.int32), at_once, most * terms < 1 << 31


def _check_look_ups(x: Array, first: int, count: int) -> None:
    """Raise ValueError where an activation is outside the table: compiled code would read what lies beside it."""
    least, most = (int(x.min()), int(x.max())) if x.size else (first, first)
    if not first <= least <= most < first + count:
        raise ValueError(f"x must be within {first} to {first + count - 1}, the table's range, not {least} to {most}")


def _halved(rows: Array) -> Array:
    """For each row of the table the row that it is half of, rounded down, if that is one of the two before; else -1.

    Such planes are made by shifts, which vectorise, and look-ups do not.
    """
    before = [[j for j in (i - 1, i - 2) if j >= 0 and np.array_equal(rows[i], rows[j] >> 1)] for i in range(len(rows))]
    return np.array([found[0] if found else -1 for found in before], np.int64)


@kernel
def _mark(codes: Any, seen: Any) -> None:
    """seen[c] becomes True for each code that there is."""
    for o in range(codes.shape[0]):
        for k in range(codes.shape[1]):
            seen[codes[o, k]] = True


@kernel
def _split(codes: Any, half: Any, taps: Any, level: Any, starts: Any, offsets: Any) -> None:
    """The rows that each output adds, from starts[o, 0] to starts[o, 1], and subtracts, from starts[o, 2] to [o, 3].

    Weights of zero are in neither. Both ends are written for each weight, and kept by moving on: signs are random, so
    that a branch would be mispredicted.
    """
    terms = codes.shape[1]
    for o in range(codes.shape[0]):
        first, last = o * terms, (o + 1) * terms - 1
        starts[o, 0], starts[o, 3] = first, last + 1
        for k in range(terms):
            code = np.int64(codes[o, k])
            magnitude, below = code & (half - 1), code >= half
            offset = taps[k] + level[magnitude]
            offsets[first] = offset
            offsets[last] = offset
            first += (magnitude > 0) & (not below)
            last -= (magnitude > 0) & below
        starts[o, 1], starts[o, 2] = first, last + 1


@kernel
def _list(codes: Any, half: Any, taps: Any, level: Any, zeros: Any, starts: Any, offsets: Any, signs: Any) -> None:
    """The rows that each output adds, in order, from starts[o, 0] to starts[o, 1], and their signs.

    Weights of zero are left out, unless `zeros`: then they are there with the sign 0.
    """
    count = 0
    for o in range(codes.shape[0]):
        starts[o, 0] = count
        for k in range(codes.shape[1]):
            code = np.int64(codes[o, k])
            magnitude, below = code & (half - 1), code >= half
            offsets[count] = taps[k] + level[magnitude]
            signs[count] = (magnitude > 0) * (1 - 2 * below)
            count += zeros | (magnitude > 0)
        starts[o, 1] = count


@kernel
def _spread(
    x: Any,
    least: Any,
    table: Any,
    halved: Any,
    phases: Any,
    strides: Any,
    pads: Any,
    planes: Any,
    start: Any,
    stop: Any,
) -> None:
    """planes[r, l, p, i, j] = table[l, x[r, i*stride + phase - pad, …] - least], and 0 outside the image."""
    height, width = x.shape[1], x.shape[2]
    for row in range(start, stop):
        for level in range(table.shape[0]):
            if halved[level] >= 0:
                whole, half = planes[row, halved[level]].reshape(-1), planes[row, level].reshape(-1)
                for j in range(whole.shape[0]):
                    half[j] = whole[j] >> 1
                continue
            products = table[level]
            for p in range(phases.shape[0]):
                left = phases[p, 1] - pads[1]
                for i in range(planes.shape[3]):
                    line = planes[row, level, p, i]
                    line[:] = 0
                    y = i * strides[0] + phases[p, 0] - pads[0]
                    if 0 <= y < height:
                        first = max(0, -(left // strides[1]))
                        end = min(line.shape[0], (width - 1 - left) // strides[1] + 1)
                        for j in range(first, end):
                            line[j] = products[np.int64(x[row, y, left + j * strides[1]]) - least]


@kernel
def _rows(
    memory: Any,
    image_size: Any,
    lists: Any,
    added: Any,
    rule: Any,
    check: Any,
    carry: Any,
    at_once: Any,
    out: Any,
    over: Any,
    start: Any,
    stop: Any,
) -> None:
    """Tiles [start, stop) of [N, tiles, O]; sums in any order, modulo 2**32 or 2**64 as carry's dtype says."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    starts, offsets, _, group, pitch, lines = lists
    bits, low, high, saturates = rule
    sums = np.empty((lines - 1) * pitch + width + SLACK, carry.dtype)
    tiles = -(-height // lines)
    for row in range(start, stop):
        n, o = row // (tiles * outputs), row % outputs
        top = row // outputs % tiles * lines
        count = min(lines, height - top)
        length = (count - 1) * pitch + width
        sums[:] = 0
        base = memory[n * image_size + o // group[0] * group[1] + top * pitch :]
        add_rows_at_once(sums, base, offsets, starts[o, 0], starts[o, 1], at_once, 0, length)
        add_rows_at_once(sums, base, offsets, starts[o, 2], starts[o, 3], at_once, 1, length)
        for y in range(count):
            for x in range(width):
                total = np.int64(sums[y * pitch + x]) + added[o]
                out[n, o, top + y, x] = clamp(total, low, high) if saturates else wrap(total, bits)
                if check:
                    over[n, o, top + y, x] = total < low or total > high


@kernel
def _saturating_rows(planes: Any, lists: Any, added: Any, out: Any, over: Any, start: Any, stop: Any) -> None:
    """Tiles [start, stop) of [N, tiles, O]; each sum clamped, taps in order, then the bias, then the constant."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    starts, offsets, signs, group, pitch, lines = lists
    bias, constant, bias_first, low, high = added
    sums = np.empty((lines - 1) * pitch + width, np.int64)
    flags = np.empty(sums.shape[0], np.bool_)
    tiles = -(-height // lines)
    for row in range(start, stop):
        n, o = row // (tiles * outputs), row % outputs
        top = row // outputs % tiles * lines
        count = min(lines, height - top)
        length = (count - 1) * pitch + width
        acc, clamped = sums[:length], flags[:length]
        first = bias[o] if bias_first else 0
        acc[:] = clamp(first, low, high)
        clamped[:] = first != clamp(first, low, high)
        base = planes[n, o // group[0] * group[1] + top * pitch :]
        for k in range(starts[o, 0], starts[o, 1]):
            products, sign = base[offsets[k] : offsets[k] + length], signs[k]
            for i in range(length):
                total = acc[i] + sign * products[i]
                acc[i] = clamp(total, low, high)
                clamped[i] |= acc[i] != total
        for y in range(count):
            for x in range(width):
                biased = acc[y * pitch + x] + (0 if bias_first else bias[o])
                total = clamp(biased, low, high) + constant[o]
                value = clamp(total, low, high)
                out[n, o, top + y, x] = value
                over[n, o, top + y, x] = clamped[y * pitch + x] or clamp(biased, low, high) != biased or value != total


@kernel
def _walked_rows(
    planes: Any, lists: Any, bias: Any, constant: Any, walk: Any, out: Any, over: Any, start: Any, stop: Any
) -> None:
    """Tiles [start, stop) of [N, tiles, O]; every sum as the walk says, a weight of zero being a product of zero."""
    outputs, height, width = out.shape[1], out.shape[2], out.shape[3]
    starts, offsets, signs, group, pitch, lines = lists
    sums = np.empty((lines - 1) * pitch + width, np.int64)
    flags = np.empty(sums.shape[0], np.uint8)
    nodes = np.empty((walk.width, sums.shape[0]), np.int64)
    tiles = -(-height // lines)
    for row in range(start, stop):
        n, o = row // (tiles * outputs), row % outputs
        top = row // outputs % tiles * lines
        count = min(lines, height - top)
        length = (count - 1) * pitch + width
        acc, events = sums[:length], flags[:length]
        first = bias[o] if walk.first else 0
        begun = hold(first, walk.holds[0]) if walk.each else first
        acc[:] = begun
        events[:] = begun != first
        base = planes[n, o // group[0] * group[1] + top * pitch :]
        own = slice(starts[o, 0], starts[o, 1])
        walk_rows(acc, events, base, offsets[own], signs[own], walk, nodes)
        for y in range(count):
            for x in range(width):
                i = y * pitch + x
                value, event = finish(acc[i], events[i], False, 0, bias[o], constant[o], walk)
                out[n, o, top + y, x] = value
                over[n, o, top + y, x] = event
