"""Between packed buffers and the arrays of a run for matrices, [H, W, C] in both: row by row, nothing is transposed.

enter: packed[y, x, c] = codes[y, x, c] + OFFSET, modulo 2**bits, of elements of 8 or 16 bits.
leave: codes[y, x, c] = packed[y, x, c] - OFFSET, modulo 2**bits, of elements of 8, 16 or 32 bits.
quantize: the codes of reals f32[y, x, c], as in quantize.py.

rows.IN and OUT are the addresses of the first pixel and of the array, the columns those of transfer.py; a unit is a
pixel (rows.TOTAL = H * W).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import carray, types

from intsim.kernels._jit import op
from intsim.kernels.packed.memory import as_row, at, fetch_add
from intsim.kernels.packed.ops.quantize import MOST, REFUSED, SCALE, code, is_refused, nearest, quotient
from intsim.kernels.packed.ops.transfer import CHANNELS, ELEMENTS, packed_place
from intsim.kernels.packed.rows import COLUMNS, COUNTS, HIGH, IN, LOW, OFFSET, OUT


@functools.cache
def make_enter(size: int = 1) -> Any:
    """The cfunc of `enter`; size: bytes of an element, 1 or 2."""
    element = ELEMENTS[size]

    def enter(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        channels, offset = r[CHANNELS], element(r[OFFSET])
        for place in range(start, stop):
            codes = carray(at(r[IN] + size * place * channels), channels, element)
            stored = carray(at(r[OUT] + packed_place(r, place)), channels, element)
            for c in range(channels):
                stored[c] = element(codes[c] + offset)
        return 0

    return op(enter)


@functools.cache
def make_leave(size: int) -> Any:
    """The cfunc of `leave`; size: bytes of an element, 1, 2 or 4."""
    element = ELEMENTS[size]

    def leave(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        channels, offset = r[CHANNELS], element(r[OFFSET])
        for place in range(start, stop):
            stored = carray(at(r[IN] + packed_place(r, place)), channels, element)
            codes = carray(at(r[OUT] + size * place * channels), channels, element)
            for c in range(channels):
                codes[c] = element(stored[c] - offset)
        return 0

    return op(leave)


@functools.cache
def make_quantize(rounding: int, reciprocal: int, count: int = 0, size: int = 1) -> Any:
    """The cfunc of `quantize`; SCALE, MOST, REFUSED and the literals as in quantize.make.

    For each pixel with a real that no format takes, 1 is added to the int64 at REFUSED.
    """
    element = types.uint8 if size == 1 else types.int16

    def quantize(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        singles = carray(at(row), 2 * COLUMNS, types.float32)
        low, high, scale = singles[2 * LOW], singles[2 * HIGH], singles[2 * SCALE]
        most, offset, channels = singles[2 * MOST], np.int32(r[OFFSET]), r[CHANNELS]
        below, above = np.int64(0), np.int64(0)
        for place in range(start, stop):
            refused = np.int32(0)
            reals = carray(at(r[IN] + 4 * place * channels), channels, types.float32)
            stored = carray(at(r[OUT] + packed_place(r, place)), channels, element)
            for c in range(channels):
                value = reals[c]
                refused |= is_refused(value, most)
                stored[c] = element(code(value, scale, low, high, offset, rounding, reciprocal))
            if refused:
                fetch_add(r[REFUSED], 1)
            if count:
                for c in range(channels):
                    rounded = nearest(quotient(reals[c], scale, reciprocal), rounding)
                    below += np.int64(rounded < low)
                    above += np.int64(rounded > high)
        if count:
            fetch_add(r[COUNTS], below)
            fetch_add(r[COUNTS] + 8, above)
        return 0

    return op(quantize)
