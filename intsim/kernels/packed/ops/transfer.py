"""Between packed buffers and the arrays of a run, [C, H, W] of one image: transposed in blocks of 16 pixels.

enter: packed[y, x, c] = codes[c, y, x] + OFFSET, modulo 2**bits, of elements of 8 or 16 bits.
leave: codes[c, y, x] = packed[y, x, c] - OFFSET, modulo 2**bits, of elements of 8, 16 or 32 bits.

Exact for any C, H and W. rows.IN and OUT are the addresses of the first pixel and of the array; a unit is a line of the
image (rows.TOTAL = H).
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from intsim.kernels._jit import kernel, op
from intsim.kernels.packed.ir import I32, I64, Builder, Value, const, load, smin, splat, store, vector
from intsim.kernels.packed.memory import as_row, at
from intsim.kernels.packed.rows import FREE, IN, OFFSET, OUT

CHANNELS, HEIGHT, WIDTH, LINE, PIXEL = range(FREE, FREE + 5)
"""C, H, W; bytes of a packed line and of a packed pixel, which has 4 elements, or a multiple of 16."""

BLOCK = 16
"""Pixels of a block."""

FEW = 4
"""Elements of a pixel that holds at most 4 channels."""

ELEMENTS = {1: types.uint8, 2: types.uint16, 4: types.uint32}


@functools.cache
def make_enter(size: int = 1) -> Any:
    """The cfunc of `enter`; size: bytes of an element, 1 or 2."""
    element = ELEMENTS[size]

    def enter(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        pixel, width = r[PIXEL], r[WIDTH]
        first, last = start * width, stop * width
        for place in range(first, last - BLOCK + 1, BLOCK):
            if pixel == FEW * size:
                enter_block(FEW, size, row, place)
            else:
                enter_block(BLOCK, size, row, place)
        rest = (last - first) % BLOCK
        if rest and last - first >= BLOCK:
            if pixel == FEW * size:
                enter_block(FEW, size, row, last - BLOCK)
            else:
                enter_block(BLOCK, size, row, last - BLOCK)
        elif rest:
            for place in range(first, last):
                out = carray(at(r[OUT] + packed_place(r, place)), pixel // size, element)
                source = carray(at(r[IN] + size * place), (r[CHANNELS] - 1) * r[HEIGHT] * width + 1, element)
                for c in range(r[CHANNELS]):
                    out[c] = element(source[c * r[HEIGHT] * width] + r[OFFSET])
        return 0

    return op(enter)


@functools.cache
def make_leave(size: int) -> Any:
    """The cfunc of `leave`; size: bytes of an element, 1, 2 or 4."""
    element = ELEMENTS[size]

    def leave(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        width, plane = r[WIDTH], r[HEIGHT] * r[WIDTH]
        first, last = start * width, stop * width
        for place in range(first, last - BLOCK + 1, BLOCK):
            leave_block(size, row, place)
        rest = (last - first) % BLOCK
        if rest and last - first >= BLOCK:
            leave_block(size, row, last - BLOCK)
        elif rest:
            for place in range(first, last):
                source, out = r[IN] + packed_place(r, place), r[OUT] + size * place
                stored = carray(at(source), r[CHANNELS], element)
                codes = carray(at(out), (r[CHANNELS] - 1) * plane + 1, element)
                for c in range(r[CHANNELS]):
                    codes[c * plane] = element(stored[c] - r[OFFSET])
        return 0

    return op(leave)


@kernel
def packed_place(r: Any, place: Any) -> Any:
    """Bytes from the first pixel of a packed image to the pixel y * W + x = place."""
    y = place // r[WIDTH]
    return y * r[LINE] + (place - y * r[WIDTH]) * r[PIXEL]


@intrinsic(prefer_literal=True)
def enter_block(typing: Any, group: Any, size: Any, row: Any, place: Any) -> Any:
    """Store the BLOCK pixels from `place` on, `group` elements of `size` bytes (literals) at a time: FEW, or BLOCK."""
    if not all(isinstance(x, types.IntegerLiteral) for x in (group, size)):
        return None
    literal, width = group.literal_value, size.literal_value
    element = ir.IntType(8 * width)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        row, place = args[2:]
        channels, plane = _column(b, row, CHANNELS), b.mul(_column(b, row, HEIGHT), _column(b, row, WIDTH))
        plane = b.mul(plane, const(width))
        source = b.add(_column(b, row, IN), b.mul(place, const(width)))
        pixels = _pixels(b, row, OUT, place)
        offset = splat(b, b.trunc(_column(b, row, OFFSET), element), BLOCK)
        lines = vector(element, BLOCK)
        with cgutils.for_range_slice(b, const(0), channels, const(BLOCK)) as (first, _):
            sources = [_channel(b, source, plane, channels, first, i) for i in range(BLOCK)]
            codes = [b.add(load(b, address, lines), offset) for address in sources]
            for address, stored in zip(pixels, transposed(b, codes), strict=True):
                if literal == FEW:
                    stored = b.shuffle_vector(stored, stored, ir.Constant(vector(I32, FEW), list(range(FEW))))
                store(b, stored, b.add(address, b.mul(first, const(width))))
        return context.get_dummy_value()

    return types.void(group, size, types.int64, types.int64), generate


@intrinsic(prefer_literal=True)
def leave_block(typing: Any, size: Any, row: Any, place: Any) -> Any:
    """Store all channels of the BLOCK pixels from `place` on; size (literal): bytes of an element, 1, 2 or 4."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    width = size.literal_value
    element, group = ir.IntType(8 * width), BLOCK // width

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        row, place = args[1:]
        channels, plane = _column(b, row, CHANNELS), b.mul(_column(b, row, HEIGHT), _column(b, row, WIDTH))
        plane = b.mul(plane, const(width))
        out = b.add(_column(b, row, OUT), b.mul(place, const(width)))
        pixels = _pixels(b, row, IN, place)
        offset = splat(b, b.trunc(_column(b, row, OFFSET), element), group)
        lines = vector(element, group)
        with cgutils.for_range_slice(b, const(0), channels, const(group)) as (first, _):
            byte = b.mul(first, const(width))
            targets = [_channel(b, out, plane, channels, first, i) for i in range(group)]
            for start in range(0, BLOCK, group):
                stored = [load(b, address, lines, byte) for address in pixels[start : start + group]]
                codes = transposed(b, stored)
                # backward: what a padded channel puts at the last channel's place, the last channel then overwrites
                for address, line in reversed(list(zip(targets, codes, strict=True))):
                    store(b, b.sub(line, offset), address, start * width)
        return context.get_dummy_value()

    return types.void(size, types.int64, types.int64), generate


def _column(b: Builder, row: Value, column: int) -> Value:
    return load(b, row, I64, 8 * column, align=8)


def _channel(b: Builder, base: Value, plane: Value, channels: Value, first: Value, number: int) -> Value:
    """The address of channel first + number, or of the last one."""
    channel = smin(b, b.add(first, const(number)), b.sub(channels, const(1)))
    return b.add(base, b.mul(channel, plane))


def _pixels(b: Builder, row: Value, column: int, place: Value) -> list[Value]:
    """The addresses of the BLOCK packed pixels from `place` on, which may lie in more than one line."""
    width, line, pixel = (_column(b, row, c) for c in (WIDTH, LINE, PIXEL))
    y = b.sdiv(place, width)
    x = b.sub(place, b.mul(y, width))
    address = b.add(_column(b, row, column), b.add(b.mul(y, line), b.mul(x, pixel)))
    jump = b.sub(line, b.mul(width, pixel))
    found = []
    for _ in range(BLOCK):
        found.append(address)
        x, address = b.add(x, const(1)), b.add(address, pixel)
        ended = b.icmp_signed("==", x, width)
        x, address = b.select(ended, const(0), x), b.select(ended, b.add(address, jump), address)
    return found


def transposed(b: Builder, lines: list[Value]) -> list[Value]:
    """n vectors of n elements, n a power of two, transposed: log2(n) times, line i and line i + n/2 are interleaved."""
    n = len(lines)
    halves = [[part * n // 2 + i // 2 + (i % 2) * n for i in range(n)] for part in range(2)]
    low, high = (ir.Constant(vector(I32, n), mask) for mask in halves)
    for _ in range(n.bit_length() - 1):
        pairs = [(lines[i], lines[i + n // 2]) for i in range(n // 2)]
        lines = [b.shuffle_vector(x, y, mask) for x, y in pairs for mask in (low, high)]
    return lines
