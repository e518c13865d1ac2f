"""Epilogues: how a vector of accumulators becomes stored bytes, while it is still in registers.

Each reads its per-channel vectors behind the accumulators' start values, and its scalars from the row of the op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from intsim.kernels.packed.ir import (
    F32,
    I32,
    I64,
    Builder,
    Value,
    call,
    clamp,
    const,
    fclamp,
    half_even,
    load,
    pointer,
    splat,
    vector,
)
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, LOW, OFFSET

Emit = Callable[[Builder, Value, Sequence[Value]], Value]


@dataclass(frozen=True)
class Epilogue:
    """emit(b, acc, vectors): the unclamped result of a vector of accumulators (i32, or f32 where real) less its zero.

    vectors: how many per-channel vectors of 32 bits it reads. real: whether emit gives float32, which is clamped, then
    rounded half_even. wide: whether i32 accumulators are stored as they are.
    """

    name: str
    vectors: int
    emit: Emit
    real: bool = False
    wide: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of a stored element."""
        return 4 if self.wide else 1


def _raw(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """acc itself."""
    return acc


def _shift(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """acc >> shift; what rounds half_up, half_down, floor or ceil is in the accumulator's start value."""
    return b.ashr(acc, vectors[0])


def _ties(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """(acc + (acc < 0) * negative + ((acc' >> shift) & 1) * odd) >> shift for the rules whose ties look at the sum.

    The start value holds the term that is always added (`always`), which is a vector too: acc' = acc - always.
    """
    shift, always, negative, odd = vectors
    exact = b.sub(acc, always)
    below = b.and_(b.ashr(exact, const(31, exact.type)), negative)
    parity = b.and_(b.ashr(exact, shift), const(1, exact.type))
    return b.ashr(b.add(b.add(acc, below), b.mul(parity, odd)), shift)


def _float32(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """float32(acc) * multiplier."""
    real = b.sitofp(acc, vector(F32, acc.type.count))
    return b.fmul(real, b.bitcast(vectors[0], real.type))


EPILOGUES = (
    Epilogue("raw", 0, _raw, wide=True),
    Epilogue("shift", 1, _shift),
    Epilogue("ties", 4, _ties),
    Epilogue("float32", 1, _float32, real=True),
)
"""By number: literal integers choose among them in compiled code."""

NUMBERS = {epilogue.name: number for number, epilogue in enumerate(EPILOGUES)}


@dataclass(frozen=True)
class Scalars:
    """What an epilogue clamps with, in every lane; clip_low and clip_high: None unless clipped results are counted."""

    low: Value
    high: Value
    offset: Value
    clip_low: Value | None
    clip_high: Value | None


def load_scalars(b: Builder, epilogue: Epilogue, row: Value, lanes: int, count: bool) -> Scalars:
    """The scalars of a row."""
    type = F32 if epilogue.real else I32
    low, high = (splat(b, load(b, row, type, 8 * column), lanes) for column in (LOW, HIGH))
    offset = splat(b, load(b, row, I32, 8 * OFFSET), lanes)
    if not count:
        return Scalars(low, high, offset, None, None)
    clips = [splat(b, load(b, row, type, 8 * column), lanes) for column in (CLIP_LOW, CLIP_HIGH)]
    return Scalars(low, high, offset, clips[0], clips[1])


def finish(b: Builder, epilogue: Epilogue, result: Value, scalars: Scalars) -> Value:
    """The stored values, i32 each, of unclamped results."""
    if epilogue.wide:
        return result
    if epilogue.real:
        codes = half_even(b, fclamp(b, result, scalars.low, scalars.high))
    else:
        codes = clamp(b, result, scalars.low, scalars.high)
    return b.add(codes, scalars.offset)


def clipped(b: Builder, epilogue: Epilogue, result: Value, scalars: Scalars) -> tuple[Value, Value]:
    """-1 in each lane (i32) whose result the output format clips, at the low end and at the high end."""
    assert scalars.clip_low is not None and scalars.clip_high is not None, "a variant that counts"
    type = vector(I32, result.type.count)
    if epilogue.real:
        result = call(b, f"llvm.rint.v{result.type.count}f32", result.type, result)
        below, above = b.fcmp_ordered("<", result, scalars.clip_low), b.fcmp_ordered(">", result, scalars.clip_high)
    else:
        below, above = b.icmp_signed("<", result, scalars.clip_low), b.icmp_signed(">", result, scalars.clip_high)
    return b.sext(below, type), b.sext(above, type)


def add_counts(b: Builder, counts: Value, below: Value, above: Value) -> None:
    """Add the lanes of two vectors of -1 and 0, negated, to int64[2]."""
    for number, lanes in enumerate((below, above)):
        total = call(b, f"llvm.vector.reduce.add.v{lanes.type.count}i32", I32, lanes)
        b.atomic_rmw("sub", pointer(b, counts, 8 * number), b.sext(total, I64), "monotonic")
