"""Stored codes clamped to a range."""

from __future__ import annotations

import functools
from typing import Any

from numba import carray, types

from intsim.kernels._jit import op
from intsim.kernels.packed.memory import as_row, at
from intsim.kernels.packed.rows import FREE, HIGH, IN, LOW, OFFSET, OUT

LINE, OUT_LINE, CODES = range(FREE, FREE + 3)
"""Bytes from line to line in the input and in the output; codes of a line."""


@functools.cache
def make(size: int) -> Any:
    """The cfunc of a clamp of u8 or, with size 2, i16; a unit is a line: any run of codes in one piece in both buffers.

    stored[i] = min(max(x[i], LOW), HIGH) + OFFSET, modulo 2**bits. TOTAL is the number of lines. OUT may be IN.
    """
    element = types.uint8 if size == 1 else types.int16

    def clip(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        low, high, offset = element(r[LOW]), element(r[HIGH]), element(r[OFFSET])
        for unit in range(start, stop):
            codes = carray(at(r[IN] + unit * r[LINE]), r[CODES], element)
            stored = carray(at(r[OUT] + unit * r[OUT_LINE]), r[CODES], element)
            for i in range(r[CODES]):
                code = codes[i] if codes[i] > low else low
                stored[i] = element((code if code < high else high) + offset)
        return 0

    return op(clip)
