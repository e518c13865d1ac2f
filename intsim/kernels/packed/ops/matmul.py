"""Matrix product of two activations: the second one is packed as weights while the program runs, the rest is `tile`.

pack:    w[k, n] = b[k, n] - B_ZERO, 0 for columns that are none and for k >= K, i16, in the order that tile reads;
         start[n] = template[n] - A_ZERO * sum over k of w[k, n], modulo 2**32; the epilogue's vectors as they are.
product: out[m, n] = epilogue(start[n] + sum over k of a[m, k] * w[k, n])

a u8[stacks, M, K], b u8[stacks, K, N], stored bytes, a stack of one repeated. Weights are i16 of `avx2` on every
instruction set, since b - B_ZERO has 9 bits with its sign: products of u8 and 9 bits added in pairs are far from 2**31.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from intsim.kernels._jit import op
from intsim.kernels.packed.epilogues import EPILOGUES
from intsim.kernels.packed.ir import (
    I8,
    I16,
    I32,
    I64,
    NUMBERS,
    VECTORS,
    Builder,
    Value,
    call,
    const,
    load,
    smin,
    splat,
    store,
    vector,
)
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.memory import as_row, at, stack
from intsim.kernels.packed.rows import FREE, IN, IN2, OUT
from intsim.kernels.packed.tile import add_lanes, tile

ISA = NUMBERS["avx2"]
LANES = VECTORS[ISA].lanes

WIDTH = 2
"""Vectors of columns of a tile."""

BLOCK = WIDTH * LANES
"""Columns of a block: the bytes of a row that are packed at once, and to which rows are padded."""

STEP = 4
"""Products of a step."""

STEP_BYTES = WIDTH * VECTORS[ISA].weight_bytes

BLOCKS, STEPS, STACK = range(FREE, FREE + 3)
"""Blocks of a matrix; steps: K over STEP, rounded up; bytes from a matrix of the first input to the next."""

ROW, K, A_ZERO, B_ZERO, MASK, TEMPLATE, PARAMETERS = range(FREE + 3, FREE + 10)
"""Of `pack`: bytes from a row of b to the next; K; the stored bytes of the zero points; addresses: i16[blocks, BLOCK],
-1 for columns and 0 after them, and the parameters i32[blocks, 1 + vectors, BLOCK] of which the start values lack the
sums; bytes from the first weight of OUT to the first parameter."""

ROW_OFFSETS, TAP_OFFSETS, OUT_OFFSETS, ROWS, TILES, OUT_STACK, WEIGHT_STACK, PARAMETERS2 = range(FREE + 3, FREE + 11)
"""Of `product`: int64 offsets of the rows of a, of the one tap, and of the rows of the output; M; tiles a block; bytes
from a matrix of the output to the next; whether each has weights of its own; the address of the parameters."""


@functools.cache
def make_pack(vectors: int) -> Any:
    """The cfunc of `pack`; vectors: those of the epilogue. A unit is a block of a matrix."""
    words = (1 + vectors) * BLOCK

    def pack(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        for unit in range(start, stop):
            matrix = unit // r[BLOCKS]
            block = unit - matrix * r[BLOCKS]
            parameters = carray(at(r[OUT] + r[PARAMETERS] + 4 * words * unit), words, types.int32)
            template = carray(at(r[TEMPLATE] + 4 * words * block), words, types.int32)
            for i in range(words):
                parameters[i] = template[i]
            pack_block(
                row,
                r[IN] + matrix * r[STACK] + block * BLOCK,
                r[MASK] + 2 * block * BLOCK,
                r[OUT] + unit * r[STEPS] * STEP_BYTES,
                r[OUT] + r[PARAMETERS] + 4 * words * unit,
            )
        return 0

    return op(pack)


@intrinsic
def pack_block(typing: Any, row: Any, source: Any, mask: Any, weights: Any, start: Any) -> Any:
    """Store the weights of BLOCK columns, and subtract A_ZERO times their sums from their start values."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit_pack(b, *args)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


def _emit_pack(b: Builder, row: Value, source: Value, mask: Value, weights: Value, start: Value) -> None:
    words, lanes = vector(I16, BLOCK), vector(I32, LANES)
    terms, size = (load(b, row, I64, 8 * column) for column in (K, ROW))
    columns = load(b, mask, words)
    zero = splat(b, b.trunc(load(b, row, I64, 8 * B_ZERO), I16), BLOCK)
    factor = splat(b, b.trunc(b.neg(load(b, row, I64, 8 * A_ZERO)), I16), 2 * LANES)

    def centred(k: Value, wanted: Value | None) -> Value:
        """Row k of the block less the zero point; where it is not wanted, 0."""
        at = source if wanted is None else b.add(source, b.mul(smin(b, k, b.sub(terms, const(1))), size))
        at = b.add(source, b.mul(k, size)) if wanted is None else at
        codes = b.zext(load(b, at, vector(I8, BLOCK)), words)
        values = b.and_(b.sub(codes, zero), columns)
        return values if wanted is None else b.select(wanted, values, const(0, words))

    def step(number: Value, sums: Sequence[Value], whole: bool) -> list[Value]:
        """Store one step's weights; sums plus what they add."""
        first = b.mul(number, const(STEP))
        ks = [b.add(first, const(i)) for i in range(STEP)]
        rows = [centred(k, None if whole else b.icmp_signed("<", k, terms)) for k in ks]
        place = b.add(weights, b.mul(number, const(STEP_BYTES)))
        results = []
        for n, total in enumerate(sums):
            order = [half * BLOCK + n * LANES + lane for lane in range(LANES) for half in range(2)]
            pairs = [
                b.shuffle_vector(rows[i], rows[i + 2], ir.Constant(vector(I32, 2 * LANES), order)) for i in range(2)
            ]
            for i, pair in enumerate(pairs):
                store(b, pair, place, (2 * n + i) * 4 * LANES)
                total = b.add(total, call(b, "llvm.x86.avx2.pmadd.wd", lanes, pair, factor))
            results.append(total)
        return results

    starts = [load(b, start, lanes, 4 * LANES * n) for n in range(WIDTH)]
    places = [cgutils.alloca_once_value(b, value) for value in starts]
    steps = b.sdiv(terms, const(STEP))
    with b.if_then(b.icmp_signed(">", steps, const(0))):
        for place, total in zip(places, loop(b, steps, starts, lambda i, sums: step(i, sums, True)), strict=True):
            b.store(total, place)
    with b.if_then(b.icmp_signed("<", b.mul(steps, const(STEP)), terms)):
        for place, total in zip(places, step(steps, [b.load(place) for place in places], False), strict=True):
            b.store(total, place)
    for n, place in enumerate(places):
        store(b, b.load(place), start, 4 * LANES * n)


@functools.cache
def make(pixels: int, epilogue: int, count: int) -> Any:
    """The cfunc of `product`: IN is a, IN2 what `pack` made; a unit is a tile of `pixels` rows by BLOCK columns.

    The last tile of a block overlaps the one before it where M is no multiple of `pixels`.
    """
    parameter_bytes = 4 * BLOCK * (1 + EPILOGUES[epilogue].vectors)
    out_bytes = BLOCK * EPILOGUES[epilogue].bytes
    count_bytes = 2 * 4 * LANES

    def product(row: Any, start: Any, stop: Any) -> Any:
        r = as_row(row)
        counts = stack(count_bytes)
        if count:
            carray(at(counts), count_bytes, types.uint8)[:] = 0
        tiles, blocks, most = r[TILES], r[BLOCKS], r[ROWS] - pixels
        for unit in range(start, stop):
            number = unit // tiles
            first = (unit - number * tiles) * pixels
            matrix = number // blocks
            block = number - matrix * blocks
            packed = number if r[WEIGHT_STACK] else block
            line = min(first, most)
            tile(
                pixels,
                WIDTH,
                epilogue,
                ISA,
                count,
                row,
                r[IN] + matrix * r[STACK],
                r[ROW_OFFSETS] + 8 * line,
                r[TAP_OFFSETS],
                1,
                r[STEPS],
                r[IN2] + packed * r[STEPS] * STEP_BYTES,
                r[IN2] + r[PARAMETERS2] + packed * parameter_bytes,
                r[OUT] + matrix * r[OUT_STACK] + block * out_bytes,
                r[OUT_OFFSETS] + 8 * line,
                first - line,
                counts,
            )
        if count:
            add_lanes(ISA, row, counts)
        return 0

    return op(product)
