"""What ops on two packed operands share: a walk over runs of bytes, in which an op combines the codes lane by lane."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    fma,
    load,
    splat,
    vector,
)
from intsim.kernels.packed.loops import loop
from intsim.kernels.packed.rows import COUNTS, FREE, IN, IN2, OUT
from intsim.kernels.packed.stores import count_clipped, store_results

LINE, LINE2, OUT_LINE, RUNS, RUN, STEP, STEP2, OUT_STEP, MASK = range(FREE, FREE + 9)
"""Bytes from line to line of each input and of the output; runs in a line, the elements of one, and the bytes from one
to the next. STEP2 is 0 where the second operand is one pixel, and each pixel of the first a run. MASK: where clipped
results are counted, the address of a byte for each element of a line, 255 where it counts and else 0. After them stand
64 bytes of 0."""

ZERO_A, ZERO_B, FACTOR_A, FACTOR_B, START = range(FREE + 9, FREE + 14)
"""What is subtracted from the stored codes of each operand; what they are multiplied or shifted by, and the constant
that is added: int64, or float32 bits where the op computes in float32."""

SCALARS = FREE + 14
"""The first of the epilogue's columns: what is a vector per channel elsewhere is one number here, of 32 bits."""


@dataclass(frozen=True)
class PairConstants:
    """What the row says of the operands, in every lane."""

    zero_a: Value
    zero_b: Value
    factor_a: Value
    factor_b: Value
    start: Value


@dataclass(frozen=True)
class Combine:
    """emit(b, x, y, constants): accumulators i32 of stored codes x and y, extended to i32; they go through an epilogue.
    Where real: the float32 codes themselves."""

    name: str
    emit: Callable[[Builder, Value, Value, PairConstants], Value]
    real: bool = False


def _add(b: Builder, x: Value, y: Value, c: PairConstants) -> Value:
    """(x << factor_a) + (y << factor_b) + start, modulo 2**32."""
    return b.add(b.add(b.shl(x, c.factor_a), c.start), b.shl(y, c.factor_b))


def _sub(b: Builder, x: Value, y: Value, c: PairConstants) -> Value:
    """(x << factor_a) - (y << factor_b) + start, modulo 2**32."""
    return b.sub(b.add(b.shl(x, c.factor_a), c.start), b.shl(y, c.factor_b))


def _mul(b: Builder, x: Value, y: Value, c: PairConstants) -> Value:
    """(x - zero_a) * (y - zero_b) + start."""
    return b.add(b.mul(b.sub(x, c.zero_a), b.sub(y, c.zero_b)), c.start)


def _add_float32(b: Builder, x: Value, y: Value, c: PairConstants) -> Value:
    """fma(x - zero_a, factor_a, fma(y - zero_b, factor_b, start))."""
    real = vector(F32, x.type.count)
    left, right = b.sitofp(b.sub(x, c.zero_a), real), b.sitofp(b.sub(y, c.zero_b), real)
    return fma(b, left, c.factor_a, fma(b, right, c.factor_b, c.start))


def _mul_float32(b: Builder, x: Value, y: Value, c: PairConstants) -> Value:
    """float32((x - zero_a) * (y - zero_b)) * factor_a + start; the product of two codes is exact in float32."""
    real = vector(F32, x.type.count)
    product = b.fmul(b.sitofp(b.sub(x, c.zero_a), real), b.sitofp(b.sub(y, c.zero_b), real))
    return b.fadd(b.fmul(product, c.factor_a), c.start)


COMBINES = (
    Combine("add", _add),
    Combine("sub", _sub),
    Combine("mul", _mul),
    Combine("add_float32", _add_float32, real=True),
    Combine("mul_float32", _mul_float32, real=True),
)
"""By number: literal integers choose among them in compiled code."""

NUMBERS = {combine.name: number for number, combine in enumerate(COMBINES)}

REAL = Epilogue("codes", 0, lambda b, acc, vectors: acc, real=True, bounded=True)


@functools.cache
def make(combine: int, epilogue: int, isa: int, count: int, vectors: int) -> Any:
    """The cfunc of an op on two operands; a unit is a line of the output.

    A line is any run of codes that lies in one piece in all three buffers: a line of the image, or more of it where
    there is no physical padding; TOTAL is their number. Codes are u8; i16 where the epilogue's are. vectors: how many
    vectors of `lanes` codes at a time: 4 where runs are long, 1 where they are pixels whose codes are no multiple of
    4 * lanes. Nothing is written after a run; up to 63 bytes after it are read, so that i16 take 8 lanes at most.
    OUT may be IN or IN2 where their strides are equal.
    """

    def pairs(row: Any, start: Any, stop: Any) -> Any:
        for unit in range(start, stop):
            combine_line(combine, epilogue, isa, count, vectors, row, unit)
        return 0

    return op(pairs)


@intrinsic(prefer_literal=True)
def combine_line(
    typing: Any, combine: Any, epilogue: Any, isa: Any, count: Any, vectors: Any, row: Any, unit: Any
) -> Any:
    """Store what a Combine and an epilogue make of all runs of one line."""
    literals = (combine, epilogue, isa, count, vectors)
    if not all(isinstance(x, types.IntegerLiteral) for x in literals):
        return None
    numbers = [x.literal_value for x in literals]
    chosen, last = COMBINES[numbers[0]], EPILOGUES[numbers[1]]
    variant = chosen, REAL if chosen.real else last, VECTORS[numbers[2]], bool(numbers[3]), numbers[4]
    signature = types.void(*literals, types.int64, types.int64)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, *variant, *args[len(literals) :])
        return context.get_dummy_value()

    return signature, generate


def _emit(
    b: Builder, combine: Combine, epilogue: Epilogue, v: Vectors, count: bool, vectors: int, row: Value, unit: Value
) -> None:
    lanes, width = vector(I32, v.lanes), v.lanes * vectors * epilogue.bytes

    def column(number: int, type: Any = I64) -> Value:
        return load(b, row, type, 8 * number)

    size = epilogue.size
    stored = vector(I8 if size == 1 else I16, v.lanes)
    extended = b.zext if size == 1 else b.sext
    constants = _constants(b, combine, v, column)
    own = [splat(b, column(SCALARS + i, I32), v.lanes) for i in range(epilogue.vectors)]
    scalars = load_scalars(b, epilogue, row, v.lanes, count)
    lines = [b.add(column(at), b.mul(unit, column(by))) for at, by in ((IN, LINE), (IN2, LINE2), (OUT, OUT_LINE))]
    strides = [column(number) for number in (STEP, STEP2, OUT_STEP)]
    run, mask = column(RUN), column(MASK)
    steps = b.sdiv(b.add(run, const(v.lanes * vectors - 1)), const(v.lanes * vectors))
    spare = b.ptrtoint(cgutils.alloca_once(b, vector(I8, width)), I64)

    def each_run(number: Value, counted: list[Value]) -> list[Value]:
        runs = [b.add(line, b.mul(number, stride)) for line, stride in zip(lines, strides, strict=True)]
        mask_run = b.add(mask, b.mul(number, run))

        def each_step(step: Value, counted: list[Value]) -> list[Value]:
            first = b.mul(step, const(v.lanes * vectors))
            left, right = (b.add(at, b.mul(first, const(size))) for at in runs[:2])
            out, rest = b.add(runs[2], b.mul(first, const(epilogue.bytes))), b.sub(run, first)
            whole = b.icmp_signed(">=", rest, const(v.lanes * vectors))
            target = b.select(whole, out, spare)
            results = []
            for i in range(vectors):
                codes = [extended(load(b, at, stored, i * v.lanes * size), lanes) for at in (left, right)]
                result = combine.emit(b, codes[0], codes[1], constants)
                results.append(result if combine.real else epilogue.emit(b, result, own))
                if count:
                    wanted = b.sext(load(b, b.add(mask_run, first), vector(I8, v.lanes), i * v.lanes), lanes)
                    counted = count_clipped(b, epilogue, results[-1], scalars, wanted, counted)
            places = [b.add(target, const(i * v.lanes * epilogue.bytes)) for i in range(vectors)]
            store_results(b, v, epilogue, results, scalars, places, joined=True)
            with b.if_then(b.not_(whole), likely=False):
                bytes = b.mul(rest, const(epilogue.bytes))
                to, source = (b.inttoptr(at, cgutils.voidptr_t) for at in (out, spare))
                cgutils.raw_memcpy(b, to, source, bytes, 1)
            return counted

        return loop(b, steps, counted, each_step)

    counted = loop(b, column(RUNS), [const(0, lanes)] * (2 * count), each_run)
    if count:
        add_counts(b, column(COUNTS), *counted)


def _constants(b: Builder, combine: Combine, v: Vectors, column: Callable[[int, Any], Value]) -> PairConstants:
    """The constants of a row."""
    type = F32 if combine.real else I32
    zeros = [splat(b, column(number, I32), v.lanes) for number in (ZERO_A, ZERO_B)]
    return PairConstants(*zeros, *(splat(b, column(number, type), v.lanes) for number in (FACTOR_A, FACTOR_B, START)))
