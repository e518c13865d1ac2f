"""The mean of each window, and so of whole images, on packed buffers: in integers, and as ONNX Runtime in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.epilogues import EPILOGUES, Epilogue, add_counts, load_scalars
from intsim.kernels.packed.ir import (
    F32,
    I8,
    I16,
    I32,
    I64,
    VECTORS,
    Builder,
    Value,
    Vectors,
    const,
    load,
    splat,
    vector,
)
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.rows import COUNTS, FREE, IN, OUT
from intsim.kernels.packed.stores import count_clipped, store_results

ROW_FIRST, ROW_TAPS, COLUMN_FIRST, COLUMN_TAPS, TAP_LINE, TAP_PIXEL = range(FREE, FREE + 6)
"""int64[HEIGHT] and int64[WIDTH]: bytes from IN to the first tap inside the image on each axis, and how many taps are
inside (`windows.taps_inside`); bytes from tap to tap on each axis."""

OUT_LINE, OUT_PIXEL, WIDTH, CHANNELS, BLOCKS, WORDS, CLASSES, MASK = range(FREE + 6, FREE + 14)
"""Bytes of an output line and pixel; output columns; a pixel's channels, rounded up to a multiple of 4; blocks of a
pixel; the constants of the mean, int64[classes, n]; int64[HEIGHT, WIDTH], bytes from WORDS to those of each output
pixel, or 0 where all are the same; where clipped results are counted, 255 for each channel, then 0 up to a whole block
and 64 more."""

Words = Callable[[int, Any], Value]


@dataclass(frozen=True)
class Mean:
    """What becomes of the sum of a window. Where real: of float32 terms, and emit gives a float32 code.

    term(b, code, words): what is added up for a stored code, extended to i32. emit(b, total, words): the result
    less its zero, i32 or float32. words(i, type): the i-th constant of the pixel, in every lane.
    """

    name: str
    term: Callable[[Builder, Value, Words], Value]
    emit: Callable[[Builder, Value, Words], Value]
    real: bool = False


def _code(b: Builder, code: Value, words: Words) -> Value:
    return code


def _quotient(b: Builder, total: Value, words: Words) -> Value:
    """round(total / divisor) by the constants that `quotient` makes."""
    start, up, always, negative, divisor, even, back = (words(i, I32) for i in range(7))
    multiplier, shift = words(7, I64), words(8, I64)
    total = b.add(total, start)
    below = b.and_(b.ashr(total, const(31, total.type)), negative)
    number = b.add(b.add(b.shl(total, up), always), below)
    long = b.lshr(b.mul(b.zext(number, multiplier.type), multiplier), shift)
    whole = b.trunc(long, total.type)
    exact = b.sext(b.icmp_signed("==", b.mul(whole, divisor), number), total.type)
    return b.sub(b.sub(whole, b.and_(b.and_(whole, exact), even)), back)


def _real_code(b: Builder, code: Value, words: Words) -> Value:
    """x_scale * (x - x_zero)."""
    real = vector(F32, code.type.count)
    return b.fmul(b.sitofp(b.sub(code, words(0, I32)), real), words(1, F32))


def _real_mean(b: Builder, total: Value, words: Words) -> Value:
    """total / count / scale + zero_point."""
    return b.fadd(b.fdiv(b.fdiv(total, words(2, F32)), words(3, F32)), words(4, F32))


def _through(epilogue: Epilogue) -> Mean:
    """The epilogue of (total + start), its vectors after it in the constants."""

    def emit(b: Builder, total: Value, words: Words) -> Value:
        own = [words(1 + i, I32) for i in range(epilogue.vectors)]
        return epilogue.emit(b, b.add(total, words(0, I32)), own)

    return Mean(epilogue.name, _code, emit)


MEANS = (Mean("quotient", _code, _quotient), Mean("average_pool_float32", _real_code, _real_mean, real=True))
"""By number; the numbers after them are those of EPILOGUES."""

QUOTIENT, FLOAT32, THROUGH = range(3)

INTEGER = Epilogue("integer", 0, lambda b, acc, vectors: acc)
REAL = Epilogue("codes", 0, lambda b, acc, vectors: acc, real=True)


@functools.cache
def make(mean: int, vectors: int, isa: int, count: int) -> Any:
    """The cfunc of a mean; a unit is a block of vectors * lanes channels of an output line.

    QUOTIENT: average_pool and reduce_mean, constants from `quotient`. FLOAT32: average_pool_float32, constants from
    `float32_words`. THROUGH + e: an epilogue on the sum, for reduce_mean_float32 (`float32`: multiplier m) and for
    counts that are powers of two (`shift`, `ties`), constants: the start value -count * stored zero + rounding term,
    then the epilogue's. A window is the taps inside the image, so padding adds nothing. TOTAL is HEIGHT * BLOCKS, all
    blocks of a line, then the next line. A global mean is one window: HEIGHT and WIDTH are 1.
    vectors: 4, or 1 where pixels have fewer channels than 4 * lanes; BLOCKS = ceil(CHANNELS / (vectors * lanes)).
    isa: a number of VECTORS; codes are u8, or i16 where it takes those.
    """

    def average_pool(row: Any, start: Any, stop: Any) -> Any:
        for unit in range(start, stop):
            mean_of_line(mean, vectors, isa, count, row, unit)
        return 0

    return op(average_pool)


def quotient(
    inside: int, divisor: int, shift: int, rounding: str, stored_zero: int, ends: tuple[int, int] = (0, 255)
) -> list[int] | None:
    """The constants of round(sum of x - zero over `inside` elements / (divisor * 2**shift)); None if i32 is too small.

    ends: the least and the greatest code that can be stored.
    floor((2 * sum + term) / (2 * divisor)), term by the rule: d or d - 1 for a tie that goes up or down, another one
    for negative sums where the rule looks at the sign; half_even goes up and takes one off where the quotient was a
    tie and came out odd. The division is a multiplication by a reciprocal: for u < 2**31, l = ceil(log2 D) and
    m = floor(2**(31 + l) / D) + 1, floor(u / D) = u * m >> (31 + l). Source: Granlund and Montgomery, Division by
    invariant integers using multiplication, 1994, theorem 4.2.
    """
    up, d = max(-shift, 0) + 1, divisor << max(shift, 0)
    whole = 2 * d
    always, negative = {
        "half_up": (d, 0),
        "half_down": (d - 1, 0),
        "half_even": (d, 0),
        "half_away": (d, -1),
        "half_to_zero": (d - 1, 1),
        "floor": (0, 0),
        "ceil": (whole - 1, 0),
        "toward_zero": (0, whole - 1),
        "away_from_zero": (whole - 1, 1 - whole),
    }[rounding]
    start = -inside * stored_zero
    low, high = (start + inside * end for end in ends)
    least = (low << up) + always + min(negative, 0)
    back = max(-(least // whole), 0)
    back += back % 2
    most = (high << up) + always + max(negative, 0) + back * whole
    if most >= 1 << 31 or whole >= 1 << 31 or low << up < -(1 << 31):
        return None
    bits = (whole - 1).bit_length()
    multiplier = (1 << (31 + bits)) // whole + 1
    even = int(rounding == "half_even")
    return [start, up, always + back * whole, negative, whole, even, back, multiplier, 31 + bits]


def float32_words(stored_zero: int, x_scale: np.float32, count: int, scale: np.float32, zero_point: int) -> list[int]:
    """The constants of FLOAT32. count: the taps inside, or with count_include_pad those of the kernel."""
    reals = np.array([x_scale, count, scale, zero_point], np.float32).view(np.int32)
    return [stored_zero, *map(int, reals)]


def fits_float32(taps: int, x_scale: float, scale: float) -> bool:
    """Whether each result of FLOAT32 is below 2**31, from where on ONNX Runtime's rounding gives the lowest code."""
    return taps < 1 << 22 and 256 * x_scale / scale < 2.0**29


def fits_sum(taps: int) -> bool:
    """Whether i32 holds the sum of `taps` stored bytes less a stored zero point, so that THROUGH is exact."""
    return 255 * taps < 1 << 30


@intrinsic(prefer_literal=True)
def mean_of_line(typing: Any, mean: Any, vectors: Any, isa: Any, count: Any, row: Any, unit: Any) -> Any:
    """Store one block of channels of one output line."""
    literals = (mean, vectors, isa, count)
    if not all(isinstance(x, types.IntegerLiteral) for x in literals):
        return None
    number, width, instructions, counts = (x.literal_value for x in literals)
    if number < THROUGH:
        variant = MEANS[number], REAL if MEANS[number].real else INTEGER
    else:
        epilogue = EPILOGUES[number - THROUGH]
        variant = _through(epilogue), REAL if epilogue.real else INTEGER
    signature = types.void(*literals, types.int64, types.int64)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, *variant, width, VECTORS[instructions], bool(counts), *args[len(literals) :])
        return context.get_dummy_value()

    return signature, generate


def _emit(
    b: Builder, mean: Mean, last: Epilogue, vectors: int, v: Vectors, count: bool, row: Value, unit: Value
) -> None:
    lanes, width = vector(I32, v.lanes), v.lanes * vectors

    def column(number: int) -> Value:
        return load(b, row, I64, 8 * number)

    def entry(table: Value, index: Value) -> Value:
        return load(b, table, I64, b.mul(index, const(8)))

    last = replace(last, size=v.size)
    stored, extended = (vector(I8, v.lanes), b.zext) if v.size == 1 else (vector(I16, v.lanes), b.sext)
    scalars = load_scalars(b, last, row, v.lanes, count)
    blocks, across = column(BLOCKS), column(WIDTH)
    y = b.sdiv(unit, blocks)
    first = b.mul(b.sub(unit, b.mul(y, blocks)), const(width))
    first_byte = b.mul(first, const(v.size))
    origin = b.add(b.add(column(IN), entry(column(ROW_FIRST), y)), first_byte)
    out = b.add(b.add(column(OUT), b.mul(y, column(OUT_LINE))), first_byte)
    down, x_first, x_taps = entry(column(ROW_TAPS), y), column(COLUMN_FIRST), column(COLUMN_TAPS)
    tap_line, tap_pixel, out_pixel, table = (column(n) for n in (TAP_LINE, TAP_PIXEL, OUT_PIXEL, WORDS))
    classes = b.add(column(CLASSES), b.mul(b.mul(y, across), const(8)))
    varied = b.icmp_signed("!=", column(CLASSES), const(0))
    rest = b.sub(column(CHANNELS), first)
    whole = b.icmp_signed(">=", rest, const(width))
    mask = b.add(column(MASK), first)
    spare = b.ptrtoint(cgutils.alloca_once(b, vector(I8, width * v.size)), I64)
    # a load that is not wanted reads WORDS itself, which is always there
    classes = b.select(varied, classes, table)

    def each_pixel(x: Value, counted: list[Value]) -> list[Value]:
        chosen = b.select(varied, entry(classes, b.select(varied, x, const(0))), const(0))
        pixel_words = b.add(table, chosen)

        def words(i: int, type: Any) -> Value:
            return splat(b, load(b, pixel_words, type, 8 * i), v.lanes)

        corner, right = b.add(origin, entry(x_first, x)), entry(x_taps, x)

        def each_line(i: Value, totals: list[Value]) -> list[Value]:
            line = b.add(corner, b.mul(i, tap_line))

            def each_tap(j: Value, totals: list[Value]) -> list[Value]:
                tap = b.add(line, b.mul(j, tap_pixel))
                codes = [extended(load(b, tap, stored, n * v.lanes * v.size), lanes) for n in range(vectors)]
                add = b.fadd if mean.real else b.add
                return [add(t, mean.term(b, code, words)) for t, code in zip(totals, codes, strict=True)]

            return loop(b, right, totals, each_tap)

        zero = b.bitcast(const(0, lanes), vector(F32, v.lanes)) if mean.real else const(0, lanes)
        results = [mean.emit(b, total, words) for total in loop(b, down, [zero] * vectors, each_line)]
        for n, result in enumerate(results if count else ()):
            wanted = b.sext(load(b, mask, vector(I8, v.lanes), n * v.lanes), lanes)
            counted = count_clipped(b, last, result, scalars, wanted, counted)
        place = b.add(out, b.mul(x, out_pixel))
        target = b.select(whole, place, spare)
        places = [b.add(target, const(n * v.lanes * v.size)) for n in range(vectors)]
        store_results(b, v, last, results, scalars, places, joined=True)
        with b.if_then(b.not_(whole)):
            to, source = (b.inttoptr(at, cgutils.voidptr_t) for at in (place, spare))
            cgutils.raw_memcpy(b, to, source, b.mul(rest, const(v.size)), 1)
        return counted

    counted = loop(b, across, [const(0, lanes)] * (2 * count), each_pixel)
    if count:
        add_counts(b, column(COUNTS), *counted)
