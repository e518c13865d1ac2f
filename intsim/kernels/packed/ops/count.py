"""What taps count in a packed image: the histogram of its bytes, the least and the greatest, how many equal one.

histogram: TABLE[v] += how many stored bytes equal v, for 0 <= v < 256; int64[256].
few: the same for FIRST <= v < FIRST + CODES, the only bytes that there are: comparing costs less up to FEW of them.
extremes: FOUND[0] = min(FOUND[0], every byte), FOUND[1] = max(FOUND[1], every byte), FOUND[2] += how many equal ZERO,
FOUND[3] += how many are at most ZERO; int64[4], which starts as NOTHING.

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
"""Up to that many codes, `few` is the faster one."""

NOTHING = (255, 0, 0, 0)
"""FOUND of no bytes."""

PIXEL_OF_FEW = 4
"""Bytes of a pixel of few channels; all others have a multiple of 16."""

BLOCK = 64
"""Bytes that are compressed at once; what may be read after a run."""

CHUNK = 4096
"""Bytes of a buffer in the first-level cache."""

TABLES = 8
"""One for each byte of a word of 8."""

BUFFER = CHUNK + 2 * BLOCK
"""Bytes of a buffer, with room after what is put there in blocks."""

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
        for y in range(start, stop if r[PIXEL] == PIXEL_OF_FEW else start):
            count_pixels(table, r[IN] + y * r[LINE], r[WIDTH], r[CHANNELS])
        for run in range(start * runs_a_line(r), stop * runs_a_line(r) if r[PIXEL] != PIXEL_OF_FEW else 0):
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

    size = 4 * VECTORS[isa].lanes
    state_bytes = len(NOTHING) * size
    all_bytes = state_bytes + size + BUFFER

    def extremes(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        memory = stack(all_bytes)
        found = carray(at(memory), state_bytes, types.uint8)
        real = carray(at(memory + state_bytes), size, types.uint8)
        pixels = memory + state_bytes + size
        found[:] = 0
        found[:size] = 255
        if r[CHANNELS] != r[PIXEL] and size % r[PIXEL] == 0:
            for i in range(size):
                real[i] = 255 if i % r[PIXEL] < r[CHANNELS] else 0
            for y in range(start, stop):
                address, bytes = r[IN] + y * r[LINE], r[WIDTH] * r[PIXEL]
                for i in range(0, bytes, CHUNK):
                    scan(isa, 1, address + i, min(CHUNK, bytes - i), r[ZERO], memory, memory + state_bytes)
        else:
            length = run_length(r)
            for run in range(start * runs_a_line(r), stop * runs_a_line(r)):
                address, bytes = find_run(r, run, length, pixels)
                for i in range(0, bytes, CHUNK):
                    scan(isa, 0, address + i, min(CHUNK, bytes - i), r[ZERO], memory, memory)
        add_found(isa, r[RESULT], memory)
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
def count_pixels(table: Any, address: Any, pixels: Any, channels: Any) -> None:
    """`count_bytes` of the first `channels` bytes of `pixels` pixels of 4."""
    for i in range(0, 4 * pixels - 4, 8):
        word = load_word(address + i)
        for c in range(channels):
            table[256 * c + ((word >> (8 * c)) & 255)] += 1
            table[256 * (c + 4) + ((word >> (8 * c + 32)) & 255)] += 1
    if pixels % 2:
        word = load_word(address + 4 * pixels - 4)
        for c in range(channels):
            table[256 * c + ((word >> (8 * c)) & 255)] += 1


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
    """Put those of `bytes` bytes (at most BLOCK) that differ from `zero` next to each other; how many there are."""

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


@intrinsic(prefer_literal=True)
def scan(typing: Any, isa: Any, masked: Any, address: Any, bytes: Any, zero: Any, found: Any, real: Any) -> Any:
    """Add 1 to CHUNK bytes to what was found so far, lane by lane.

    found: the address of vectors: the least and the greatest bytes, and i32, how many equal `zero` and are at most it.
    Literal: isa; masked: whether only bytes count where the vector of bytes at `real` has 255, not 0.
    """
    if not isinstance(isa, types.IntegerLiteral) or not isinstance(masked, types.IntegerLiteral):
        return None
    size, some = 4 * VECTORS[isa.literal_value].lanes, bool(masked.literal_value)
    assert CHUNK // size <= 255

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        address, bytes, zero, found, real = args[2:]
        type = vector(I8, size)
        zeros = splat(b, b.trunc(zero, I8), size)
        mask = load(b, real, type) if some else None
        kept = [cgutils.alloca_once_value(b, load(b, found, type, i * size)) for i in range(2)]
        kept += [cgutils.alloca_once_value(b, const(0, type)) for _ in range(2)]

        def add(codes: Value, wanted: Value | None) -> None:
            lower = codes if wanted is None else b.or_(codes, b.not_(wanted))
            higher = codes if wanted is None else b.and_(codes, wanted)
            least, greatest, *counts = (b.load(value) for value in kept)
            flags = [b.sext(b.icmp_unsigned(test, codes, zeros), type) for test in ("==", "<=")]
            flags = flags if wanted is None else [b.and_(flag, wanted) for flag in flags]
            values = [
                b.select(b.icmp_unsigned("<", lower, least), lower, least),
                b.select(b.icmp_unsigned(">", higher, greatest), higher, greatest),
                *(b.sub(count, flag) for count, flag in zip(counts, flags, strict=True)),
            ]
            for value, place in zip(values, kept, strict=True):
                b.store(value, place)

        last = b.and_(b.sub(bytes, const(1)), const(-size))
        with cgutils.for_range_slice(b, const(0), last, const(size)) as (i, _):
            add(load(b, address, type, i), mask)
        rest = b.sext(_first(b, b.sub(bytes, last), size), type)
        add(load(b, address, type, last), rest if mask is None else b.and_(rest, mask))
        for i, end in enumerate(kept[:2]):
            store(b, b.load(end), found, i * size)
        for i, count in enumerate(kept[2:], 2):
            total = b.add(load(b, found, vector(I32, size // 4), i * size), _by_word(b, b.load(count)))
            store(b, total, found, i * size)
        return context.get_dummy_value()

    return types.void(isa, masked, *[types.int64] * 5), generate


@intrinsic(prefer_literal=True)
def add_found(typing: Any, isa: Any, result: Any, found: Any) -> Any:
    """Join what `scan` found with the int64[4] at `result`, atomically. Literal: isa."""
    if not isinstance(isa, types.IntegerLiteral):
        return None
    size = 4 * VECTORS[isa.literal_value].lanes

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _, result, found = args
        for i, (reduce, join) in enumerate((("umin", "min"), ("umax", "max"), ("add", "add"), ("add", "add"))):
            element = I8 if i < 2 else I32
            lanes = vector(element, size * 8 // element.width)
            lanes = load(b, found, lanes, i * size)
            name = f"llvm.vector.reduce.{reduce}.v{lanes.type.count}i{element.width}"
            b.atomic_rmw(join, pointer(b, result, 8 * i), b.zext(call(b, name, element, lanes), I64), "monotonic")
        return context.get_dummy_value()

    return types.void(isa, types.int64, types.int64), generate


def _by_word(b: Builder, counts: Value) -> Value:
    """The sums i32 of each four of a vector of u8."""
    words = b.bitcast(counts, vector(I32, counts.type.count // 4))
    low = const(255, words.type)
    parts = [b.and_(b.lshr(words, const(shift, words.type)), low) for shift in (0, 8, 16, 24)]
    return b.add(b.add(*parts[:2]), b.add(*parts[2:]))


def _first(b: Builder, bytes: Value, size: int) -> Value:
    """True in the first `bytes` lanes, at most `size`."""
    numbers = ir.Constant(vector(I8, size), list(range(size)))
    some = b.trunc(smin(b, bytes, const(size)), I8)
    return b.icmp_unsigned("<", numbers, splat(b, some, size))
