"""Depthwise convolution: each channel by its own kernel, as many horizontal taps at a time as a lane has codes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.epilogues import EPILOGUES, Epilogue, add_counts, load_scalars
from intsim.kernels.packed.ir import (
    I8,
    I16,
    I32,
    I64,
    VECTORS,
    Builder,
    Value,
    Vectors,
    add_parts,
    const,
    divided,
    dot,
    load,
    load_weights,
    smin,
    vector,
)
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.memory import as_row
from intsim.kernels.packed.rows import COUNTS, FREE, IN, OUT
from intsim.kernels.packed.stores import count_clipped, store_results

ORIGIN, LINE, PIXEL, OUT_LINE, OUT_PIXEL, HEIGHT, WIDTH, BLOCKS, WEIGHTS, PARAMETERS = range(FREE, FREE + 10)
"""Bytes from IN to the first element of the first output's window (negative where the image is padded); bytes of a
line and of a pixel of the input, and of the output; the output's size in pixels; blocks of `lanes` channels; packed
weights and parameters, block after block."""

TAP_OFFSETS, STEPS, STRIDE_H, STRIDE_W = range(FREE + 10, FREE + 14)
"""Only for `make_taps`: int64 offsets of taps from a window's first element, for each of STEPS as many as a lane has
codes; bytes from one window to the next."""

REGISTERS = 14
"""That many vectors of weights are kept in registers; more of them are read again for each step."""

GENERIC_COLUMNS = 4
"""Output pixels at a time in `make_taps`."""

Int = npt.NDArray[np.int64]


@functools.cache
def make(
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    rows: int,
    columns: int,
    epilogue: int,
    isa: int,
    count: int,
) -> Any:
    """The cfunc of a kernel without dilation; a unit is `rows` output lines of a block of channels.

    stored[y, x, c] = epilogue(start[c] + sum over i, j of x[y * stride_h + i, x * stride_w + j, c] * w[c, i, j])

    TOTAL is ceil(HEIGHT / rows) * BLOCKS, block after block of a group of lines. rows must be at most HEIGHT, columns
    (output columns at a time) at most WIDTH: the last group of lines and the last step in a line overlap those before
    them. PIXEL and OUT_PIXEL are multiples of `lanes` codes. Every window lies inside the image and its padding. The
    sums of each part of the weights are made in 32 bits, whatever the epilogue takes.
    """
    lanes, parts, in_bytes = VECTORS[isa].lanes, VECTORS[isa].parts, VECTORS[isa].lanes * VECTORS[isa].size
    parameter_bytes = 4 * lanes * (EPILOGUES[epilogue].starts + EPILOGUES[epilogue].vectors)
    pieces = len(_pieces(kernel_w, stride_w, columns, VECTORS[isa].codes))
    weight_bytes = kernel_h * pieces * parts * VECTORS[isa].weight_bytes
    out_bytes = lanes * EPILOGUES[epilogue].bytes

    def depthwise(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        for unit in range(start, stop):
            group = unit // r[BLOCKS]
            block = unit - group * r[BLOCKS]
            first = group * rows
            y = min(first, r[HEIGHT] - rows)
            lines(
                kernel_h,
                kernel_w,
                stride_h,
                stride_w,
                rows,
                columns,
                epilogue,
                isa,
                count,
                row,
                r[IN] + r[ORIGIN] + y * stride_h * r[LINE] + block * in_bytes,
                r[LINE],
                r[PIXEL],
                r[WIDTH],
                r[WEIGHTS] + block * weight_bytes,
                r[PARAMETERS] + block * parameter_bytes,
                r[OUT] + y * r[OUT_LINE] + block * out_bytes,
                r[OUT_LINE],
                r[OUT_PIXEL],
                first - y,
            )
        return 0

    return op(depthwise)


@functools.cache
def make_taps(epilogue: int, isa: int, count: int) -> Any:
    """The cfunc for any kernel, strides and dilations; a unit is one output line of a block of channels.

    TOTAL is HEIGHT * BLOCKS, block after block of a line. Otherwise as `make`, with any WIDTH of 1 or more.
    """
    lanes, in_bytes = VECTORS[isa].lanes, VECTORS[isa].lanes * VECTORS[isa].size
    parameter_bytes = 4 * lanes * (EPILOGUES[epilogue].starts + EPILOGUES[epilogue].vectors)
    step_bytes = VECTORS[isa].parts * VECTORS[isa].weight_bytes
    out_bytes = lanes * EPILOGUES[epilogue].bytes

    def depthwise_taps(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        for unit in range(start, stop):
            y = unit // r[BLOCKS]
            block = unit - y * r[BLOCKS]
            line(
                epilogue,
                isa,
                count,
                row,
                r[IN] + r[ORIGIN] + y * r[STRIDE_H] + block * in_bytes,
                r[STRIDE_W],
                r[TAP_OFFSETS],
                r[STEPS],
                r[WIDTH],
                r[WEIGHTS] + block * r[STEPS] * step_bytes,
                r[PARAMETERS] + block * parameter_bytes,
                r[OUT] + y * r[OUT_LINE] + block * out_bytes,
                r[OUT_PIXEL],
            )
        return 0

    return op(depthwise_taps)


def columns_for(kernel_w: int, stride_w: int, width: int) -> int:
    """The output columns at a time that are fastest: as many as there are windows in kernel_w pixels, rounded up to a
    multiple of 4, but two at least."""
    pixels = -(-kernel_w // 4) * 4
    return min(max((pixels - kernel_w) // stride_w + 1, 2), width)


def _pieces(kernel_w: int, stride_w: int, columns: int, codes: int) -> list[tuple[int, int]]:
    """Output column and run of `codes` pixels, for each run that a column's window meets."""
    return [
        (d, q) for d in range(columns) for q in range(d * stride_w // codes, (d * stride_w + kernel_w - 1) // codes + 1)
    ]


def pack_weights(w: Int, stride_w: int, columns: int, isa: int) -> npt.NDArray[np.uint8]:
    """The weights of `make`: u8[blocks, bytes of a block], from int[C, kernel_h, kernel_w].

    [block][kernel_h][piece][part][lane][codes] of i8 or i16, see ir.VECTORS (of four codes: [2][lane][2] in the place
    of the last two); what belongs to no tap, and to no channel, is 0.
    """
    codes = VECTORS[isa].codes
    runs = []
    for d, q in _pieces(w.shape[2], stride_w, columns, codes):
        first = codes * q - d * stride_w
        taps = range(first, first + codes)
        runs.append([w[:, :, j] if 0 <= j < w.shape[2] else np.zeros_like(w[:, :, 0]) for j in taps])
    return _pack(np.array(runs).transpose(2, 3, 0, 1).reshape(w.shape[0], -1, codes), isa)


def pack_taps(w: Int, isa: int) -> npt.NDArray[np.uint8]:
    """The weights of `make_taps`: [block][step][part][lane][codes], else as `pack_weights`."""
    flat, codes = w.reshape(w.shape[0], -1), VECTORS[isa].codes
    return _pack(np.pad(flat, ((0, 0), (0, -flat.shape[1] % codes))).reshape(w.shape[0], -1, codes), isa)


def tap_offsets(kernel: tuple[int, int], dilations: tuple[int, int], line: int, pixel: int, codes: int = 4) -> Int:
    """int64[codes * STEPS]: TAP_OFFSETS of `make_taps`; the last ones may be of no tap, and have weights of 0."""
    i, j = np.indices(kernel).reshape(2, -1)
    offsets = i * dilations[0] * line + j * dilations[1] * pixel
    return np.pad(offsets, (0, -len(offsets) % codes)).astype(np.int64)


def pack_parameters(vectors: Sequence[npt.NDArray[Any]], isa: int) -> npt.NDArray[np.uint8]:
    """u8[blocks, bytes]: [block][vectors][lane] of 32 bits, from int[C], modulo 2**32, or float32[C].

    The first is the start value (the first two, of a long epilogue):
    start[c] = bias[c] + rounding term - stored zero point * sum over the kernel of w[c].
    """
    lanes = VECTORS[isa].lanes
    columns = [x if x.dtype == np.float32 else x.astype(np.int64).astype(np.uint32) for x in vectors]
    columns = [x.view(np.uint32) for x in columns]
    padded = np.pad(np.array(columns), ((0, 0), (0, -len(columns[0]) % lanes)))
    packed = padded.reshape(len(columns), -1, lanes).transpose(1, 0, 2)
    return np.ascontiguousarray(packed).view(np.uint8).reshape(len(packed), -1)


def _pack(runs: Int, isa: int) -> npt.NDArray[np.uint8]:
    """Blocks of lanes of int[C, n, codes]."""
    v = VECTORS[isa]
    channels, n = runs.shape[:2]
    padded = np.pad(runs, ((0, -channels % v.lanes), (0, 0), (0, 0)))
    blocks = padded.reshape(-1, v.lanes, n, v.codes).transpose(0, 2, 1, 3)
    if v.narrow:
        return np.ascontiguousarray(blocks.astype(np.int8)).view(np.uint8).reshape(len(blocks), -1)
    if v.parts > 1:
        blocks = np.stack(divided(blocks), axis=2)
    pairs = blocks.reshape(len(blocks), -1, v.lanes, v.codes // 2, 2).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(pairs.astype(np.int16)).view(np.uint8).reshape(len(blocks), -1)


@intrinsic(prefer_literal=True)
def lines(
    typing: Any,
    kernel_h: Any,
    kernel_w: Any,
    stride_h: Any,
    stride_w: Any,
    rows: Any,
    columns: Any,
    epilogue: Any,
    isa: Any,
    count: Any,
    row: Any,
    source: Any,
    in_line: Any,
    in_pixel: Any,
    width: Any,
    weights: Any,
    parameters: Any,
    out: Any,
    out_line: Any,
    out_pixel: Any,
    skip: Any,
) -> Any:
    """Store `rows` output lines of one block of channels; the first `skip` of them are not counted."""
    literals = (kernel_h, kernel_w, stride_h, stride_w, rows, columns, epilogue, isa, count)
    if not all(isinstance(x, types.IntegerLiteral) for x in literals):
        return None
    numbers = [x.literal_value for x in literals]
    shape = numbers[:2], numbers[2:4], numbers[4:6]
    variant = EPILOGUES[numbers[6]], VECTORS[numbers[7]], bool(numbers[8])
    signature = types.void(*literals, *[types.int64] * 11)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit_lines(b, *shape, *variant, args[len(literals) :])
        return context.get_dummy_value()

    return signature, generate


def _emit_lines(
    b: Builder,
    kernel: Sequence[int],
    strides: Sequence[int],
    at_once: Sequence[int],
    epilogue: Epilogue,
    v: Vectors,
    count: bool,
    args: tuple[Value, ...],
) -> None:
    (kernel_h, kernel_w), (stride_h, stride_w), (rows, columns) = kernel, strides, at_once
    row, source, in_line, in_pixel, width, weights, parameters, out, out_line, out_pixel, skip = args
    lanes = vector(I32, v.lanes)
    pieces = _pieces(kernel_w, stride_w, columns, v.codes)
    needed = {d * stride_w + j for d in range(columns) for j in range(kernel_w)}
    start, own = _parameters(b, epilogue, v, parameters)
    scalars = load_scalars(b, epilogue, row, v.lanes, count)
    sources = [b.add(source, b.mul(in_line, const(i))) for i in range((rows - 1) * stride_h + kernel_h)]
    outs = [b.add(out, b.mul(out_line, const(q))) for q in range(rows)]
    offsets = {p: b.mul(in_pixel, const(p)) for p in needed}

    def weight(i: int, piece: int) -> list[tuple[Value, ...]]:
        return _load_parts(b, v, weights, (i * len(pieces) + piece) * v.parts * v.weight_bytes)

    kept = {}
    if kernel_h * len(pieces) * v.parts <= REGISTERS:
        kept = {(i, n): weight(i, n) for i in range(kernel_h) for n in range(len(pieces))}
    most = b.sub(width, const(columns))

    def step(number: Value, counted: list[Value]) -> list[Value]:
        first = b.mul(number, const(columns))
        column = smin(b, first, most)
        at = b.mul(b.mul(column, const(stride_w)), in_pixel)
        sums = {(q, d): [start] * v.parts for q in range(rows) for d in range(columns)}
        for r, line_source in enumerate(sources):
            here = b.add(line_source, at)
            places = {p: b.add(here, offset) for p, offset in offsets.items()}
            runs = [
                interleave(b, v, [places.get(v.codes * k + j) for j in range(v.codes)])
                for k in range(pieces[-1][1] + 1)
            ]
            for q in range(rows):
                i = r - q * stride_h
                for n, (d, k) in enumerate(pieces if 0 <= i < kernel_h else ()):
                    sums[q, d] = _dots(b, v, sums[q, d], runs[k], kept.get((i, n)) or weight(i, n))
        results = {at: epilogue.emit(b, _total(b, epilogue, parts), own) for at, parts in sums.items()}
        if count:
            late = b.sub(first, column)
            for (q, d), result in results.items():
                wanted = b.and_(b.icmp_signed(">=", const(q), skip), b.icmp_signed(">=", const(d), late))
                counted = count_clipped(b, epilogue, result, scalars, wanted, counted)
        pixels = [b.mul(b.add(column, const(d)), out_pixel) for d in range(columns)]
        store_results(b, v, epilogue, list(results.values()), scalars, [b.add(outs[q], pixels[d]) for q, d in results])
        return counted

    steps = b.sdiv(b.add(width, const(columns - 1)), const(columns))
    counted = loop(b, steps, [const(0, lanes)] * (2 * count), step)
    if count:
        add_counts(b, load(b, row, I64, 8 * COUNTS), *counted)


@intrinsic(prefer_literal=True)
def line(
    typing: Any,
    epilogue: Any,
    isa: Any,
    count: Any,
    row: Any,
    source: Any,
    stride: Any,
    tap_offsets: Any,
    steps: Any,
    width: Any,
    weights: Any,
    parameters: Any,
    out: Any,
    out_pixel: Any,
) -> Any:
    """Store one output line of one block of channels, whose taps lie at offsets."""
    literals = (epilogue, isa, count)
    if not all(isinstance(x, types.IntegerLiteral) for x in literals):
        return None
    numbers = [x.literal_value for x in literals]
    variant = EPILOGUES[numbers[0]], VECTORS[numbers[1]], bool(numbers[2])
    signature = types.void(*literals, *[types.int64] * 10)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit_line(b, *variant, args[len(literals) :])
        return context.get_dummy_value()

    return signature, generate


def _emit_line(b: Builder, epilogue: Epilogue, v: Vectors, count: bool, args: tuple[Value, ...]) -> None:
    row, source, stride, tap_offsets, steps, width, weights, parameters, out, out_pixel = args
    lanes = vector(I32, v.lanes)
    start, own = _parameters(b, epilogue, v, parameters)
    scalars = load_scalars(b, epilogue, row, v.lanes, count)
    most = b.sub(width, const(1))

    def pixels(number: Value, counted: list[Value]) -> list[Value]:
        wanted = [b.add(b.mul(number, const(GENERIC_COLUMNS)), const(d)) for d in range(GENERIC_COLUMNS)]
        columns = [smin(b, column, most) for column in wanted]
        sources = [b.add(source, b.mul(column, stride)) for column in columns]

        def taps(step: Value, sums: list[Value]) -> list[Value]:
            first = b.mul(step, const(8 * v.codes))
            offsets = [load(b, tap_offsets, I64, b.add(first, const(8 * j))) for j in range(v.codes)]
            some = _load_parts(b, v, b.add(weights, b.mul(step, const(v.parts * v.weight_bytes))), 0)
            runs = [interleave(b, v, [b.add(at, offset) for offset in offsets]) for at in sources]
            by_column = [sums[i * v.parts : (i + 1) * v.parts] for i in range(GENERIC_COLUMNS)]
            return [acc for own, run in zip(by_column, runs, strict=True) for acc in _dots(b, v, own, run, some)]

        sums = loop(b, steps, [start] * (GENERIC_COLUMNS * v.parts), taps)
        totals = [_total(b, epilogue, sums[i : i + v.parts]) for i in range(0, len(sums), v.parts)]
        results = [epilogue.emit(b, total, own) for total in totals]
        for d, result in enumerate(results if count else ()):
            fresh = b.icmp_signed("==", wanted[d], columns[d])
            counted = count_clipped(b, epilogue, result, scalars, fresh, counted)
        store_results(b, v, epilogue, results, scalars, [b.add(out, b.mul(column, out_pixel)) for column in columns])
        return counted

    trips = b.sdiv(b.add(width, const(GENERIC_COLUMNS - 1)), const(GENERIC_COLUMNS))
    counted = loop(b, trips, [const(0, lanes)] * (2 * count), pixels)
    if count:
        add_counts(b, load(b, row, I64, 8 * COUNTS), *counted)


def interleave(b: Builder, v: Vectors, places: Sequence[Value | None]) -> tuple[Value, ...]:
    """The operands of `dot` for a run of pixels' codes at these places, lane by lane; None: a tap whose weight is 0."""
    codes = vector(I8 if v.size == 1 else I16, v.lanes)
    pixels = [ir.Constant(codes, ir.Undefined) if place is None else load(b, place, codes) for place in places]
    if v.size == 2:
        return (_shuffle(b, pixels, [lane + j * v.lanes for lane in range(v.lanes) for j in range(2)]),)
    pairs = [_shuffle(b, pixels[i : i + 2], range(2 * v.lanes)) for i in (0, 2)]
    if v.narrow:
        return (_shuffle(b, pairs, [lane + j * v.lanes for lane in range(v.lanes) for j in range(4)]),)
    order = [lane + j * v.lanes for lane in range(v.lanes) for j in range(2)]
    return tuple(b.zext(_shuffle(b, (pair, pair), order), vector(I16, 2 * v.lanes)) for pair in pairs)


def _shuffle(b: Builder, pair: Sequence[Value], order: Iterable[int]) -> Value:
    lanes = list(order)
    return b.shuffle_vector(*pair, ir.Constant(vector(I32, len(lanes)), lanes))


def _parameters(b: Builder, epilogue: Epilogue, v: Vectors, parameters: Value) -> tuple[Value, list[Value]]:
    """The accumulators' start value, 0 where the epilogue adds it, and the epilogue's vectors."""
    lanes = vector(I32, v.lanes)
    found = [load(b, parameters, lanes, 4 * v.lanes * i) for i in range(epilogue.starts + epilogue.vectors)]
    return (const(0, lanes), found) if epilogue.long else (found[0], found[1:])


def _load_parts(b: Builder, v: Vectors, address: Value, offset: int) -> list[tuple[Value, ...]]:
    """The operands of `dot` for each part of packed weights."""
    return [load_weights(b, v, address, offset + part * v.weight_bytes) for part in range(v.parts)]


def _dots(
    b: Builder, v: Vectors, sums: Sequence[Value], codes: tuple[Value, ...], weights: Sequence[tuple[Value, ...]]
) -> list[Value]:
    """The sums of each part with a run's products."""
    return [dot(b, v, acc, codes, part) for acc, part in zip(sums, weights, strict=True)]


def _total(b: Builder, epilogue: Epilogue, sums: Sequence[Value]) -> Value:
    """What the epilogue takes of the sums of each part: i64 where it is long."""
    return add_parts(b, sums) if epilogue.long else sums[0]
