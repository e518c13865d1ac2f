"""interim"""

from __future__ import annotations

import functools
from typing import Any

from numba import carray, types

from intsim.kernels._jit import op
from intsim.kernels.packed.memory import as_row, at
from intsim.kernels.packed.rows import FREE, IN, OFFSET, OUT

CHANNELS, HEIGHT, WIDTH, LINE, PIXEL = range(FREE, FREE + 5)


@functools.cache
def make_enter() -> Any:
    def enter(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        c, h, w = r[CHANNELS], r[HEIGHT], r[WIDTH]
        source = carray(at(r[IN]), c * h * w, types.uint8)
        for y in range(start, stop):
            out = carray(at(r[OUT] + y * r[LINE]), w * r[PIXEL], types.uint8)
            for k in range(c):
                for x in range(w):
                    out[x * r[PIXEL] + k] = types.uint8(source[(k * h + y) * w + x] + r[OFFSET])
        return 0

    return op(enter)


@functools.cache
def make_leave(wide: int) -> Any:
    def leave(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        c, h, w = r[CHANNELS], r[HEIGHT], r[WIDTH]
        if wide:
            out32 = carray(at(r[OUT]), c * h * w, types.int32)
            for y in range(start, stop):
                source32 = carray(at(r[IN] + y * r[LINE]), w * r[PIXEL] // 4, types.int32)
                for k in range(c):
                    for x in range(w):
                        out32[(k * h + y) * w + x] = source32[x * r[PIXEL] // 4 + k]
        else:
            out = carray(at(r[OUT]), c * h * w, types.uint8)
            for y in range(start, stop):
                source = carray(at(r[IN] + y * r[LINE]), w * r[PIXEL], types.uint8)
                for k in range(c):
                    for x in range(w):
                        out[(k * h + y) * w + x] = types.uint8(source[x * r[PIXEL] + k] - r[OFFSET])
        return 0

    return op(leave)
