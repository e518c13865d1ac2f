"""What taps count in a packed image: the histogram of its bytes, the least and the greatest, how many equal one.

histogram: TABLE[v] += how many stored bytes equal v, for 0 <= v < 256; int64[256].
few: the same for FIRST <= v < FIRST + CODES, the only bytes that there are: comparing costs less up to FEW of them.
extremes: FOUND[0] = min(FOUND[0], every byte), FOUND[1] = max(FOUND[1], every byte), FOUND[2] += how many equal ZERO;
int64[3], which starts as NOTHING.

All over the C real channels, exact for any C, H and W. A unit is a line of the image (rows.TOTAL = H); results are
added atomically, so that any number of threads may add into the same ones.

Bytes are counted in a table for each byte of a word, because an increment waits for the one before it at the same
place; they live on the stack. Increments are bound by stores, one a cycle: with `compress`, the bytes equal to ZERO,
half of them after a Relu, are counted in vectors and left out (AVX512-VBMI2's vpcompressb).
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from intsim.kernels._jit import kernel, op
from intsim.kernels.packed.ir import (
    I8,
    I32,
    I64,
    VECTORS,
    Builder,
    Value,
    call,
    const,
    load,
    pointer,
    smin,
    splat,
    store,
    vector,
)
from intsim.kernels.packed.isa import cpu_features
from intsim.kernels.packed.memory import as_row, at, fetch_add, stack
from intsim.kernels.packed.rows import FREE, IN

CHANNELS, WIDTH, LINE, PIXEL, RESULT, ZERO, FIRST, CODES = range(FREE, FREE + 8)
"""C, W; bytes of a packed line and of a packed pixel; the address of TABLE or FOUND; the byte ZERO; FIRST; CODES."""

FEW = 16
"""Up to so many codes, `few` is the faster one."""

NOTHING = (255, 0, 0)
"""FOUND of no bytes."""

BLOCK = 64
"""Bytes that are compressed at once; what may be read behind a run."""

CHUNK = 4096
"""Bytes of a buffer in the first-level cache."""

TABLES = 8
"""One for each byte of a word of 8."""

BUFFER = CHUNK + 2 * BLOCK
"""Bytes of a buffer, with room behind what is put there in blocks."""

TABLE_BYTES = 4 * 256 * TABLES

SHORT = 256
"""Pixels of fewer channels than this, some of them padded, are put together before they are counted."""


def can_compress() -> bool:
    """Whether the processor has vpcompressb."""
    return {"avx512bw", "avx512vbmi2"} <= cpu_features()


@functools.cache
def make_histogram(compress: int) -> Any:
    """The cfunc of `histogram`; compress: whether bytes equal to ZERO are left out first; only where `can_compress`."""

    size = TABLE_BYTES + 2 * BUFFER

    def histogram(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        memory = stack(size)
        table = carray(at(memory), TABLES * 256, types.int32)
        table[:] = 0
        pixels = memory + TABLE_BYTES
        others = pixels + BUFFER
        zero, length = r[ZERO], run_length(r)
        used, zeros = 0, 0
        for run in range(start * runs_a_line(r), stop * runs_a_line(r)):
            address, bytes = find_run(r, run, length, pixels)
            if not compress:
                count_bytes(table, address, bytes)
                continue
            for i in range(0, bytes, BLOCK):
                if used > CHUNK - BLOCK:
                    whole = used - used % TABLES
                    count_bytes(table, others, whole)
                    move(others, others + whole)
                    used -= whole
                some = min(BLOCK, bytes - i)
                left = compress_block(others + used, address + i, zero, some)
                used, zeros = used + left, zeros + some - left
        if compress:
            count_bytes(table, others, used)
            fetch_add(r[RESULT] + 8 * zero, zeros)
        for v in range(256):
            total = 0
            for k in range(TABLES):
                total += table[256 * k + v]
            if total:
                fetch_add(r[RESULT] + 8 * v, total)
        return 0

    return op(histogram)


@functools.cache
def make_few(isa: int) -> Any:
    """The cfunc of `few`."""

    size = TABLE_BYTES + BUFFER

    def few(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        memory = stack(size)
        table = carray(at(memory), 256, types.int64)
        table[:] = 0
        length = run_length(r)
        for run in range(start * runs_a_line(r), stop * runs_a_line(r)):
            address, bytes = find_run(r, run, length, memory + TABLE_BYTES)
            for i in range(0, bytes, CHUNK):
                for v in range(r[FIRST], r[FIRST] + r[CODES]):
                    table[v] += count_equal(isa, address + i, min(CHUNK, bytes - i), v)
        for v in range(r[FIRST], r[FIRST] + r[CODES]):
            fetch_add(r[RESULT] + 8 * v, table[v])
        return 0

    return op(few)


@functools.cache
def make_extremes(isa: int) -> Any:
    """The cfunc of `extremes`."""

    def extremes(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        pixels = stack(BUFFER)
        least, greatest, zeros, length = 255, 0, 0, run_length(r)
        for run in range(start * runs_a_line(r), stop * runs_a_line(r)):
            address, bytes = find_run(r, run, length, pixels)
            for i in range(0, bytes, CHUNK):
                some = min(CHUNK, bytes - i)
                low, high = find_extremes(address + i, some)
                least, greatest = min(least, low), max(greatest, high)
                zeros += count_equal(isa, address + i, some, r[ZERO])
        fetch_min_max(r[RESULT], least, greatest)
        fetch_add(r[RESULT] + 16, zeros)
        return 0

    return op(extremes)


@kernel
def run_length(r: Any) -> Any:
    """Pixels of a run of bytes that are counted together: a line, one pixel, or as many as fit in CHUNK."""
    if r[CHANNELS] == r[PIXEL]:
        return r[WIDTH]
    return max(1, CHUNK // r[CHANNELS]) if r[CHANNELS] < SHORT else 1


@kernel
def runs_a_line(r: Any) -> Any:
    """Runs of a line."""
    length = run_length(r)
    return (r[WIDTH] + length - 1) // length


@kernel
def find_run(r: Any, run: Any, length: Any, pixels: Any) -> Any:
    """The address of the bytes of the real channels of a run, and how many; put together at `pixels` where need be."""
    y = run // runs_a_line(r)
    x = (run - y * runs_a_line(r)) * length
    address = r[IN] + y * r[LINE] + x * r[PIXEL]
    some = min(length, r[WIDTH] - x)
    if length == 1 or r[CHANNELS] == r[PIXEL]:
        return address, some * r[CHANNELS]
    for i in range(some):
        for c in range(0, r[CHANNELS], 16):
            move(pixels + i * r[CHANNELS] + c, address + i * r[PIXEL] + c)
    return pixels, some * r[CHANNELS]


@kernel
def count_bytes(table: Any, address: Any, bytes: Any) -> None:
    """Add 1 to table[256 * k + v] for each byte v at address; k: its place in a word of 8."""
    whole = bytes - bytes % TABLES
    for i in range(0, whole, TABLES):
        word = load_word(address + i)
        for k in range(TABLES):
            table[256 * k + ((word >> (8 * k)) & 255)] += 1
    for i in range(whole, bytes):
        table[load_word(address + i) & 255] += 1


@kernel
def find_extremes(address: Any, bytes: Any) -> Any:
    """The least and the greatest of so many bytes."""
    values = carray(at(address), bytes, types.uint8)
    least, greatest = values[0], values[0]
    for i in range(bytes):
        least = min(least, values[i])
        greatest = max(greatest, values[i])
    return types.int64(least), types.int64(greatest)


@intrinsic
def load_word(typing: Any, address: Any) -> Any:
    """The int64 at an address, unaligned."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return load(b, args[0], I64)

    return types.int64(types.int64), generate


@intrinsic
def move(typing: Any, to: Any, source: Any) -> Any:
    """Copy 16 bytes."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        store(b, load(b, args[1], vector(I8, 16)), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def compress_block(typing: Any, to: Any, source: Any, zero: Any, bytes: Any) -> Any:
    """Put those of so many bytes (at most BLOCK) that differ from `zero` next to each other; how many there are."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        to, source, zero, bytes = args
        type = vector(I8, BLOCK)
        values = load(b, source, type)
        wanted = b.and_(b.icmp_unsigned("!=", values, splat(b, b.trunc(zero, I8), BLOCK)), _first(b, bytes, BLOCK))
        name = f"llvm.x86.avx512.mask.compress.v{BLOCK}i8"
        store(b, call(b, name, type, values, values, wanted), to)
        return call(b, "llvm.ctpop.i64", I64, b.bitcast(wanted, I64))

    return types.int64(*[types.int64] * 4), generate


@intrinsic(prefer_literal=True)
def count_equal(typing: Any, isa: Any, address: Any, bytes: Any, value: Any) -> Any:
    """How many of 1 to CHUNK bytes equal a value; the counters of a lane are bytes, and CHUNK has few vectors."""
    if not isinstance(isa, types.IntegerLiteral):
        return None
    size = 4 * VECTORS[isa.literal_value].lanes
    assert CHUNK // size <= 255

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        address, bytes, value = args[1:]
        type = vector(I8, size)
        wanted = splat(b, b.trunc(value, I8), size)
        counts = cgutils.alloca_once_value(b, const(0, type))
        last = b.and_(b.sub(bytes, const(1)), const(-size))
        with cgutils.for_range_slice(b, const(0), last, const(size)) as (i, _):
            equal = b.icmp_unsigned("==", load(b, address, type, i), wanted)
            b.store(b.sub(b.load(counts), b.sext(equal, type)), counts)
        equal = b.icmp_unsigned("==", load(b, address, type, last), wanted)
        rest = b.and_(equal, _first(b, b.sub(bytes, last), size))
        lanes = b.zext(b.sub(b.load(counts), b.sext(rest, type)), vector(I32, size))
        return b.zext(call(b, f"llvm.vector.reduce.add.v{size}i32", I32, lanes), I64)

    return types.int64(isa, *[types.int64] * 3), generate


@intrinsic
def fetch_min_max(typing: Any, address: Any, least: Any, greatest: Any) -> Any:
    """Lower the int64 at an address to `least`, and raise the one behind it to `greatest`, atomically."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        b.atomic_rmw("min", pointer(b, args[0]), args[1], "monotonic")
        b.atomic_rmw("max", pointer(b, args[0], 8), args[2], "monotonic")
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _first(b: Builder, bytes: Value, size: int) -> Value:
    """True in the first so many lanes, at most `size`."""
    numbers = ir.Constant(vector(I8, size), list(range(size)))
    some = b.trunc(smin(b, bytes, const(size)), I8)
    return b.icmp_unsigned("<", numbers, splat(b, some, size))
