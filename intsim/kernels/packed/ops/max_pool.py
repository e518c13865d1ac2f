"""The largest code of each window, on packed buffers."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.ir import I8, I16, I64, VECTORS, Builder, Value, const, load, smin, store, vector
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.rows import FREE, IN, OUT
from intsim.kernels.packed.windows import taps_inside

ROW_TAPS, COLUMN_TAPS, KERNEL_H, KERNEL_W, PIXEL, OUT_LINE, WIDTH = range(FREE, FREE + 7)
"""int64[HEIGHT, kernel_h] and int64[WIDTH, kernel_w], what `tap_offsets` gives for each output line and column; the
kernel's size; bytes of a pixel, the same in the input and the output; of an output line; output columns."""


@functools.cache
def make(kernel_h: int, kernel_w: int, width: int, size: int = 1) -> Any:
    """The cfunc of a kernel size, or with 0 and 0 of any; a unit is an output line, TOTAL their number.

    stored[y, x, c] = max over i, j of x[y * stride_h + i * dilation_h, x * stride_w + j * dilation_w, c] inside the
    image. A tap outside stands for the nearest one of its window inside, so padding never wins. What is stored, u8 or
    with size 2 i16, is in the order of the codes for all formats. width: bytes at a time, at most a pixel's: see
    `width_for`.
    """

    def max_pool(row: Any, start: Any, stop: Any) -> Any:
        for unit in range(start, stop):
            largest_of_line(kernel_h, kernel_w, width, size, row, unit)
        return 0

    return op(max_pool)


def width_for(pixel: int, isa: int) -> int:
    """As many bytes at a time as a register and a pixel hold; the last ones of a pixel overlap those before them."""
    return next(width for width in (4 * VECTORS[isa].lanes, 32, 16, 4) if width <= min(pixel, 4 * VECTORS[isa].lanes))


def tap_offsets(
    image: int, output: int, kernel: int, stride: int, dilation: int, before: int, size: int
) -> npt.NDArray[np.int64]:
    """int64[output, kernel]: bytes from IN to each tap on one axis, those outside moved to the nearest one inside.

    image, output: lengths; before: padding; size: bytes from one element to the next. Each window meets the image.
    """
    first, count = taps_inside(image, output, kernel, stride, dilation, before)
    taps = np.clip(np.arange(kernel), first[:, None], (first + count)[:, None] - 1)
    return np.ascontiguousarray((np.arange(output)[:, None] * stride - before + taps * dilation) * size, np.int64)


@intrinsic(prefer_literal=True)
def largest_of_line(typing: Any, kernel_h: Any, kernel_w: Any, width: Any, size: Any, row: Any, unit: Any) -> Any:
    """Store one output line."""
    literals = (kernel_h, kernel_w, width, size)
    if not all(isinstance(x, types.IntegerLiteral) for x in literals):
        return None
    numbers = [x.literal_value for x in literals]
    signature = types.void(*literals, types.int64, types.int64)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, *numbers, *args[len(literals) :])
        return context.get_dummy_value()

    return signature, generate


def _emit(b: Builder, kernel_h: int, kernel_w: int, width: int, size: int, row: Value, unit: Value) -> None:
    def column(number: int) -> Value:
        return load(b, row, I64, 8 * number)

    codes = vector(I8 if size == 1 else I16, width // size)
    source, pixel, x_taps = column(IN), column(PIXEL), column(COLUMN_TAPS)
    height, across = (const(kernel_h), const(kernel_w)) if kernel_h else (column(KERNEL_H), column(KERNEL_W))
    y_taps = b.add(column(ROW_TAPS), b.mul(unit, b.mul(height, const(8))))
    out = b.add(column(OUT), b.mul(unit, column(OUT_LINE)))
    lines = [b.add(source, load(b, y_taps, I64, 8 * i)) for i in range(kernel_h)]
    chunks = b.sdiv(b.add(pixel, const(width - 1)), const(width))
    most = b.sub(pixel, const(width))

    def unrolled(taps: Value, first: Value) -> Value:
        offsets = [b.add(load(b, taps, I64, 8 * j), first) for j in range(kernel_w)]
        largest = None
        for line in lines:
            for offset in offsets:
                code = load(b, line, codes, offset)
                largest = code if largest is None else _larger(b, largest, code)
        return largest

    def looped(taps: Value, first: Value) -> Value:
        def each_line(i: Value, largest: list[Value]) -> list[Value]:
            line = b.add(b.add(source, load(b, y_taps, I64, b.mul(i, const(8)))), first)

            def each_tap(j: Value, largest: list[Value]) -> list[Value]:
                return [_larger(b, largest[0], load(b, line, codes, load(b, taps, I64, b.mul(j, const(8)))))]

            return loop(b, across, largest, each_tap)

        least = 0 if size == 1 else -(1 << 15)
        return loop(b, height, [const(least, codes)], each_line)[0]

    def each_pixel(x: Value, _: list[Value]) -> list[Value]:
        taps, place = b.add(x_taps, b.mul(x, b.mul(across, const(8)))), b.add(out, b.mul(x, pixel))

        def each_chunk(chunk: Value, _: list[Value]) -> list[Value]:
            first = smin(b, b.mul(chunk, const(width)), most)
            store(b, unrolled(taps, first) if kernel_h else looped(taps, first), place, first)
            return []

        return loop(b, chunks, [], each_chunk)

    loop(b, column(WIDTH), [], each_pixel)


def _larger(b: Builder, x: Value, y: Value) -> Value:
    """The greater of two vectors of u8 or i16."""
    above = b.icmp_unsigned if x.type.element == I8 else b.icmp_signed
    return b.select(above(">", x, y), x, y)
