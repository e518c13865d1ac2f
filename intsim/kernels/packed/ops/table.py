"""Functions of one code, as tables of what is stored."""

from __future__ import annotations

import functools
from typing import Any

from numba import carray
from numba.core import types
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.ir import I8, Builder, Value, call, const, load, store, vector
from intsim.kernels.packed.isa import cpu_features
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.memory import as_row, at
from intsim.kernels.packed.rows import FREE, IN, OUT

LINE, OUT_LINE, BYTES, TABLE, CHANNELS = range(FREE, FREE + 5)
"""Bytes from line to line in the input and in the output; bytes of a line; u8[256], or u8[CHANNELS, 256] with a table
for each byte of a pixel, its padded channels too."""

WORD_VALUES = 1 << 16

VECTOR = 64
"""Bytes that are looked up at a time with AVX512-VBMI."""


@functools.cache
def make(vbmi: int, channelwise: int) -> Any:
    """The cfunc of a table; a unit is a line: any run of bytes in one piece in both buffers, whole pixels.

    stored[i] = table[x[i]], or table[c, x[i]] with channelwise, where c = i modulo CHANNELS, the bytes of a pixel.
    TOTAL is the number of lines. OUT may be IN. vbmi: whether the processor has AVX512-VBMI (`has_vbmi`), which looks
    up VECTOR bytes at a time; it does nothing with channelwise.
    """
    fast = vbmi and not channelwise

    def table(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        size = r[BYTES]
        whole = size // VECTOR if fast else 0
        entries = carray(at(r[TABLE]), 256 * max(r[CHANNELS], 1), types.uint8)
        for unit in range(start, stop):
            source, out = r[IN] + unit * r[LINE], r[OUT] + unit * r[OUT_LINE]
            if whole:
                look_up(r[TABLE], source, out, whole)
            codes, stored = carray(at(source), size, types.uint8), carray(at(out), size, types.uint8)
            if channelwise:
                for first in range(0, size, r[CHANNELS]):
                    for c in range(r[CHANNELS]):
                        stored[first + c] = entries[256 * c + codes[first + c]]
            else:
                for i in range(whole * VECTOR, size):
                    stored[i] = entries[codes[i]]
        return 0

    return op(table)


@functools.cache
def make_words() -> Any:
    """The cfunc of a table of i16: stored[i] = TABLE[x[i] + 2**15], i16[2**16]; else as `make`."""

    def table_words(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        count = r[BYTES] // 2
        entries = carray(at(r[TABLE]), WORD_VALUES, types.int16)
        for unit in range(start, stop):
            codes = carray(at(r[IN] + unit * r[LINE]), count, types.int16)
            stored = carray(at(r[OUT] + unit * r[OUT_LINE]), count, types.int16)
            for i in range(count):
                stored[i] = entries[codes[i] + WORD_VALUES // 2]
        return 0

    return op(table_words)


def has_vbmi() -> bool:
    """Whether the processor has what `vbmi` needs; elsewhere LLVM aborts the process."""
    return {"avx512f", "avx512bw", "avx512vbmi"} <= cpu_features()


@intrinsic
def look_up(typing: Any, table: Any, source: Any, out: Any, count: Any) -> Any:
    """Store the table's entries for `count` times VECTOR bytes; all arguments but the count are addresses."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, *args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


def _emit(b: Builder, table: Value, source: Value, out: Value, count: Value) -> None:
    codes = vector(I8, VECTOR)
    quarters = [load(b, table, codes, VECTOR * i) for i in range(4)]

    def each(number: Value, _: list[Value]) -> list[Value]:
        first = b.mul(number, const(VECTOR))
        code = load(b, source, codes, first)
        name = "llvm.x86.avx512.vpermi2var.qi.512"  # the entry of the lowest 7 bits
        below, above = (call(b, name, codes, quarters[i], code, quarters[i + 1]) for i in (0, 2))
        store(b, b.select(b.icmp_signed("<", code, const(0, codes)), above, below), out, first)
        return []

    loop(b, count, [], each)
