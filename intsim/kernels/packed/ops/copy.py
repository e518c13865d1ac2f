"""Channels of pixels copied from place to place: Concat, nearest-neighbour Resize, Slice of lines and columns."""

from __future__ import annotations

import functools
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.ir import I8, I64, Builder, Value, const, load, smin, store, vector
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.rows import FREE, IN, OUT

ROW_OFFSETS, COLUMN_OFFSETS, BYTES, OUT_LINE, OUT_PIXEL, WIDTH = range(FREE, FREE + 6)
"""int64[HEIGHT] and int64[WIDTH]: bytes from IN to the line and to the column that each output line and column shows;
bytes of a pixel that are copied; of an output line and pixel; output columns."""


@functools.cache
def make(width: int) -> Any:
    """The cfunc of copies of `width` bytes at a time, at most BYTES (`width_for`); a unit is an output line.

    stored[y, x, c] = input[line(y), column(x), c] for each of the BYTES channels c, and no other byte is written: OUT
    and IN may begin at any channel of a pixel. TOTAL is the number of output lines. The last bytes of a pixel overlap
    those before them.
    """

    def copy(row: Any, start: Any, stop: Any) -> Any:
        for unit in range(start, stop):
            copy_line(width, row, unit)
        return 0

    return op(copy)


def width_for(channels: int) -> int:
    """The widest copy that `channels` bytes have room for."""
    return next(width for width in (64, 32, 16, 8, 4, 2, 1) if width <= channels)


@intrinsic(prefer_literal=True)
def copy_line(typing: Any, width: Any, row: Any, unit: Any) -> Any:
    """Copy what one output line shows."""
    if not isinstance(width, types.IntegerLiteral):
        return None
    size = width.literal_value

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, size, *args[1:])
        return context.get_dummy_value()

    return types.void(width, types.int64, types.int64), generate


def _emit(b: Builder, width: int, row: Value, unit: Value) -> None:
    def column(number: int) -> Value:
        return load(b, row, I64, 8 * number)

    line = b.mul(unit, const(8))
    source = b.add(column(IN), load(b, column(ROW_OFFSETS), I64, line))
    out, out_pixel = b.add(column(OUT), b.mul(unit, column(OUT_LINE))), column(OUT_PIXEL)
    offsets, size = column(COLUMN_OFFSETS), column(BYTES)
    chunks, most = b.sdiv(b.add(size, const(width - 1)), const(width)), b.sub(size, const(width))

    def each_pixel(x: Value, _: list[Value]) -> list[Value]:
        here = b.add(source, load(b, offsets, I64, b.mul(x, const(8))))
        place = b.add(out, b.mul(x, out_pixel))

        def each_chunk(chunk: Value, _: list[Value]) -> list[Value]:
            first = smin(b, b.mul(chunk, const(width)), most)
            store(b, load(b, here, vector(I8, width), first), place, first)
            return []

        return loop(b, chunks, [], each_chunk)

    loop(b, column(WIDTH), [], each_pixel)
