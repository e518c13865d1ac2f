"""Transpose where another axis becomes the channels: 16 by 16 bytes at a time.

stored[v, u, c] = input[V_OFFSETS[v] + C_OFFSETS[c] + u] for 0 <= u < LENGTH, 0 <= c < CHANNELS: u walks along a pixel
of the input, whose channels become lines or columns. (Where the channels stay, copy.py copies whole pixels.)
"""

from __future__ import annotations

import functools
from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.ir import I8, I64, Builder, Value, const, load, smin, store, vector
from intsim.kernels.packed.ops.transfer import BLOCK, transposed
from intsim.kernels.packed.rows import FREE, IN, OUT

V_OFFSETS, C_OFFSETS, LENGTH, CHANNELS, OUT_V, OUT_U = range(FREE, FREE + 6)
"""int64 offsets in the input; the numbers of u and c; bytes from one v and one u of the output to the next."""


@functools.cache
def make() -> Any:
    """The cfunc; a unit is one v. Up to 15 bytes after a run of the input are read; padded channels hold anything."""

    def transpose(row: Any, start: Any, stop: Any) -> Any:
        for unit in range(start, stop):
            transpose_plane(row, unit)
        return 0

    return op(transpose)


@intrinsic
def transpose_plane(typing: Any, row: Any, unit: Any) -> Any:
    """Store all u and c of one v."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, *args)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


def _emit(b: Builder, row: Value, unit: Value) -> None:
    def column(number: int) -> Value:
        return load(b, row, I64, 8 * number)

    source = b.add(column(IN), load(b, column(V_OFFSETS), I64, b.mul(unit, const(8))))
    out = b.add(column(OUT), b.mul(unit, column(OUT_V)))
    offsets, size = column(C_OFFSETS), column(OUT_U)
    last_u, last_c = (b.sub(column(number), const(1)) for number in (LENGTH, CHANNELS))
    with cgutils.for_range_slice(b, const(0), column(CHANNELS), const(BLOCK)) as (c, _):
        numbers = [smin(b, b.add(c, const(i)), last_c) for i in range(BLOCK)]
        lines = [b.add(source, load(b, offsets, I64, b.mul(number, const(8)))) for number in numbers]
        with cgutils.for_range_slice(b, const(0), column(LENGTH), const(BLOCK)) as (u, _):
            stored = transposed(b, [load(b, b.add(line, u), vector(I8, BLOCK)) for line in lines])
            # backward: what is put at the last place for a u after it, the last one then overwrites
            for i in reversed(range(BLOCK)):
                place = b.mul(smin(b, b.add(u, const(i)), last_u), size)
                store(b, stored[i], b.add(b.add(out, place), c))
