"""Reals to codes: one image f32[C, H, W] into a packed buffer; its one rounding is half_even or half_up.

half_even: half_even(clamp(float32(r / scale), LOW, HIGH)) + OFFSET, which is spec.quantize_float32 for any scale.
half_up:   half_up(clamp(float32(r / scale), LOW, HIGH)) + OFFSET, where scale is a power of two.

LOW = low - zero, HIGH = high - zero, OFFSET = zero and what makes stored codes of codes; bits at most 16.

Where scale is a power of two, both are spec.quantize, the exact quotient rounded once, for every finite float32 r:
- r / 2**e is rounded only where it overflows, and an infinity clamps as the exact quotient does, or where it lies below
  2**-126 in size: both it and the exact quotient round to 0 then, by either rule.
- Both rules are monotonic and keep integers, so that clamping to integers before rounding is clamping after it.
- half_up(v) = floor(v) + (v - floor(v) >= 1/2), and the difference is exact in float32 wherever the test is close: by
  Sterbenz's lemma for |v| >= 1 and for -1 <= v <= -1/2; it is v for 0 <= v < 1; for -1/2 < v < 0 it is above 1/2, and
  rounding, which is monotonic and keeps 1/2, leaves it there.
- r * 2**-e is the same float32 as r / 2**e where 2**-e is one: both are the exact quotient rounded once.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numba import carray, types

from intsim.kernels._jit import kernel, op
from intsim.kernels.packed.memory import as_row, at, fetch_add
from intsim.kernels.packed.rows import COLUMNS, COUNTS, FREE, HIGH, IN, LOW, OFFSET, OUT

CHANNELS, PIXEL, WIDTH, PLANE, OUT_LINE, SCALE, MOST, REFUSED = range(FREE, FREE + 8)
"""C; bytes of a packed pixel; W; bytes of a channel of the reals, and of a packed line; float32 bits: of the scale
(its reciprocal where `reciprocal`), and of the largest size that a real may have (FINITE or ANY); for each line
with a larger one or a NaN, 1 is added to the int64 at REFUSED. rows.LOW and HIGH hold float32 bits too."""

FINITE, ANY = float(np.finfo(np.float32).max), math.inf
"""MOST of spec.quantize, which takes finite reals, and of spec.quantize_float32, which takes all but NaN."""

HALF_EVEN, HALF_UP = 0, 1
ROUNDINGS = {"half_even": HALF_EVEN, "half_up": HALF_UP}

WORD = 4
"""Bytes of a packed word."""


def has_reciprocal(scale: float) -> bool:
    """Whether multiplying by 1 / scale is dividing by it: powers of two whose reciprocal is a float32."""
    mantissa, exponent = math.frexp(scale)
    return mantissa == 0.5 and 1 - exponent <= 127


def is_exact(scale: float, rounding: str) -> bool:
    """Whether this is spec.quantize with that rounding, the exact quotient rounded once."""
    return math.frexp(scale)[0] == 0.5 and rounding in ROUNDINGS


@functools.cache
def make(channels: int, rounding: int, reciprocal: int, count: int = 0, size: int = 1) -> Any:
    """The cfunc; a unit is a line of the image (rows.TOTAL = H).

    channels: C where a pixel has 4 codes, 0 where it has a multiple of 16. rounding: HALF_EVEN or HALF_UP.
    reciprocal: whether SCALE is the reciprocal; only where `has_reciprocal`. count: whether rounded quotients below LOW
    and above HIGH are counted. size: bytes of a stored code, 1 (u8) or 2 (i16).
    """
    second, third, fourth = channels != 1, size == 1 and channels not in (1, 2), size == 1 and channels in (0, 4)
    together, bits, mask = WORD // size, np.int32(8 * size), np.int32((1 << 8 * size) - 1)

    def quantize(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        singles = carray(at(row), 2 * COLUMNS, types.float32)
        low, high, scale = singles[2 * LOW], singles[2 * HIGH], singles[2 * SCALE]
        most, offset = singles[2 * MOST], np.int32(r[OFFSET])
        width, plane, last = r[WIDTH], r[PLANE], r[CHANNELS] - 1
        step = 1 if channels and size == 1 else r[PIXEL] // WORD
        below, above = np.int64(0), np.int64(0)
        for y in range(start, stop):
            refused = np.int32(0)
            for first in range(0, last + 1, together):
                words = carray(at(r[OUT] + y * r[OUT_LINE] + first * size), width * step, types.int32)
                source = r[IN] + y * WORD * width + first * plane
                reals0 = carray(at(source), width, types.float32)
                reals1 = carray(at(source + min(1, last - first) * plane), width, types.float32)
                reals2 = carray(at(source + min(2, last - first) * plane), width, types.float32)
                reals3 = carray(at(source + min(3, last - first) * plane), width, types.float32)
                for x in range(width):
                    value = reals0[x]
                    refused |= is_refused(value, most)
                    word = code(value, scale, low, high, offset, rounding, reciprocal) & mask
                    if second:
                        value = reals1[x]
                        refused |= is_refused(value, most)
                        word |= code(value, scale, low, high, offset, rounding, reciprocal) << bits
                    if third:
                        value = reals2[x]
                        refused |= is_refused(value, most)
                        word |= code(value, scale, low, high, offset, rounding, reciprocal) << np.int32(16)
                    if fourth:
                        value = reals3[x]
                        refused |= is_refused(value, most)
                        word |= code(value, scale, low, high, offset, rounding, reciprocal) << np.int32(24)
                    words[x * step] = word
            if refused:
                fetch_add(r[REFUSED], 1)
            if count:
                for c in range(last + 1):
                    reals0 = carray(at(r[IN] + y * WORD * width + c * plane), width, types.float32)
                    line_below, line_above = np.int32(0), np.int32(0)  # sums as wide as floats
                    for x in range(width):
                        rounded = nearest(quotient(reals0[x], scale, reciprocal), rounding)
                        line_below = np.int32(line_below + np.int32(rounded < low))
                        line_above = np.int32(line_above + np.int32(rounded > high))
                    below += np.int64(line_below)
                    above += np.int64(line_above)
        if count:
            fetch_add(r[COUNTS], below)
            fetch_add(r[COUNTS] + 8, above)
        return 0

    return op(quantize)


@kernel
def code(value: Any, scale: Any, low: Any, high: Any, offset: Any, rounding: Any, reciprocal: Any) -> Any:
    """The stored code of a real, as int32."""
    v = quotient(value, scale, reciprocal)
    v = v if v > low else low
    v = v if v < high else high
    if rounding == HALF_EVEN:
        return np.int32(np.rint(v)) + offset
    floor = np.floor(v)
    return np.int32(floor) + np.int32(v - floor >= np.float32(0.5)) + offset


@kernel
def quotient(value: Any, scale: Any, reciprocal: Any) -> Any:
    """value / scale, float32."""
    return value * scale if reciprocal else value / scale


@kernel
def nearest(v: Any, rounding: Any) -> Any:
    """The integer nearest to a float, as a float; exact where it is compared with a code's limits."""
    if rounding == HALF_EVEN:
        return np.rint(v)
    floor = np.floor(v)
    return floor + np.float32(v - floor >= np.float32(0.5))


@kernel
def is_refused(value: Any, most: Any) -> Any:
    """Whether a real is larger than `most`, or NaN, as int32."""
    return np.int32(not abs(value) <= most)
