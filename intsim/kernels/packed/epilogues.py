"""Epilogues: how a vector of accumulators becomes stored bytes, while it is still in registers.

Each reads its per-channel vectors after the accumulators' start values, and its scalars from the row of the op.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from intsim.kernels.packed.ir import (
    F32,
    F64,
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
    real_const,
    splat,
    vector,
)
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, LOW, OFFSET

Emit = Callable[[Builder, Value, Sequence[Value]], Value]


@dataclass(frozen=True)
class Epilogue:
    """emit(b, acc, vectors): the unclamped result (i32, or f32 where real) of a vector of accumulators, less its zero.

    vectors: how many per-channel vectors of 32 bits it reads. real: whether emit gives float32, which is clamped, then
    rounded half_even. bounded: whether those are below 2**31. wide: whether i32 accumulators are stored as they are.
    full: whether [LOW, HIGH] + OFFSET is [0, 255], to which narrowing saturates anyway. long: whether accumulators are
    i64, without their start values, which are the first two vectors, the lower words first. size: bytes of a stored
    code.
    """

    name: str
    vectors: int
    emit: Emit
    real: bool = False
    wide: bool = False
    bounded: bool = False
    full: bool = False
    long: bool = False
    size: int = 1

    @property
    def bytes(self) -> int:
        """Bytes of a stored element."""
        return 4 if self.wide else self.size

    @property
    def starts(self) -> int:
        """Vectors of start values that the accumulators begin with, before those that emit reads."""
        return 0 if self.long else 1


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


def _wrap(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """(acc * multiplier + addend, modulo 2**32) >> shift, 0 <= shift <= 31."""
    multiplier, addend, shift = vectors
    return b.ashr(b.add(b.mul(acc, multiplier), addend), shift)


def _multiplier(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """half_up(acc * multiplier / 2**shift), 0 <= shift <= 62, in 64 bits; saturated to 32."""
    multiplier, shift = (_wide(b, v) for v in vectors)
    return _saturated(b, b.ashr(b.add(b.mul(_wide(b, acc), multiplier), _half(b, shift)), shift))


def _multiplier_ties(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """(p + half + always + (p < 0) * negative) >> shift with p = acc * multiplier, 0 <= shift <= 63; saturated to 32.

    half = 2**(shift - 1), 0 where shift is 0. All in 64 bits.
    """
    multiplier, shift, always, negative = (_wide(b, v) for v in vectors)
    product = b.mul(_wide(b, acc), multiplier)
    terms = b.add(_half(b, shift), always)
    below = b.and_(b.ashr(product, const(63, product.type)), negative)
    return _saturated(b, b.ashr(b.add(b.add(product, terms), below), shift))


def _doubled(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """half_away(half_up((acc << left, modulo 2**32) * multiplier / 2**31) / 2**right), 0 <= left, right <= 31.

    In 64 bits, which saturate nothing: multiplier is not -2**31.
    """
    left, multiplier, right = vectors
    product = b.mul(_wide(b, b.shl(acc, left)), _wide(b, multiplier))
    high = b.ashr(b.add(product, const(1 << 30, product.type)), const(31, product.type))
    right = _wide(b, right)
    inexact = b.sext(b.icmp_signed("!=", right, const(0, right.type)), right.type)
    below = b.and_(b.ashr(high, const(63, high.type)), inexact)
    return b.trunc(b.ashr(b.add(b.add(high, _half(b, right)), below), right), acc.type)


def _float64_half_even(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """half_even(float64(float64(acc) * multiplier) + zero): float32 multipliers, the zero point before the rounding."""
    wide = vector(F64, acc.type.count)
    multiplier = b.fpext(b.bitcast(vectors[0], vector(F32, acc.type.count)), wide)
    shifted = b.fadd(b.fmul(b.sitofp(acc, wide), multiplier), b.sitofp(vectors[1], wide))
    return b.fptosi(call(b, f"llvm.rint.v{acc.type.count}f64", wide, _within_int32(b, shifted)), acc.type)


def _float64_half_away(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """half_away(float64(acc) * multiplier): float64 multipliers in two words, the lower first."""
    wide = vector(F64, acc.type.count)
    multiplier = b.bitcast(_words(b, vectors[0], vectors[1]), wide)
    product = _within_int32(b, b.fmul(b.sitofp(acc, wide), multiplier))
    whole = call(b, f"llvm.trunc.v{acc.type.count}f64", wide, product)
    rest = b.fsub(product, whole)
    up = b.zext(b.fcmp_ordered(">=", rest, real_const(0.5, wide)), acc.type)
    down = b.zext(b.fcmp_ordered("<=", rest, real_const(-0.5, wide)), acc.type)
    return b.sub(b.add(b.fptosi(whole, acc.type), up), down)


def _shift_long(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """(acc + start) >> shift, 0 <= shift <= 63, saturated to 32 bits; start: as in `shift`."""
    return _saturated(b, b.ashr(b.add(acc, _words(b, vectors[0], vectors[1])), _wide(b, vectors[2])))


def _ties_long(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """`ties` in 64 bits, saturated to 32; always, negative and odd in two words each. acc: without start and always."""
    shift = _wide(b, vectors[2])
    start, always, negative, odd = (_words(b, vectors[i], vectors[i + 1]) for i in (0, 3, 5, 7))
    acc = b.add(acc, start)
    exact = b.sub(acc, always)
    below = b.and_(b.ashr(exact, const(63, exact.type)), negative)
    parity = b.and_(b.ashr(exact, shift), const(1, exact.type))
    tie = b.and_(b.sub(const(0, exact.type), parity), odd)
    return _saturated(b, b.ashr(b.add(b.add(acc, below), tie), shift))


def _multiplier_long(b: Builder, acc: Value, vectors: Sequence[Value]) -> Value:
    """half_up((acc + start) * multiplier / 2**shift), 0 <= shift <= 62, in 64 bits; saturated to 32."""
    total = b.add(acc, _words(b, vectors[0], vectors[1]))
    multiplier, shift = (_wide(b, v) for v in vectors[2:])
    return _saturated(b, b.ashr(b.add(b.mul(total, multiplier), _half(b, shift)), shift))


def _words(b: Builder, low: Value, high: Value) -> Value:
    """i64 lanes of two words."""
    words = vector(I64, low.type.count)
    return b.or_(b.zext(low, words), b.shl(b.zext(high, words), const(32, words)))


def _wide(b: Builder, x: Value) -> Value:
    """i64 lanes."""
    return b.sext(x, vector(I64, x.type.count))


def _half(b: Builder, shift: Value) -> Value:
    """2**(shift - 1), 0 where shift is 0; shift: i64 lanes."""
    return b.lshr(b.shl(const(1, shift.type), shift), const(1, shift.type))


def _saturated(b: Builder, x: Value) -> Value:
    """i32 lanes of i64 ones; no output code is farther away than these bounds."""
    low, high = (const(v, x.type) for v in (-(1 << 31), (1 << 31) - 1))
    return b.trunc(clamp(b, x, low, high), vector(I32, x.type.count))


def _within_int32(b: Builder, x: Value) -> Value:
    """f64 lanes clamped to what i32 ones can hold, or one less."""
    return fclamp(b, x, real_const(1.0 - 2.0**31, x.type), real_const(2.0**31 - 2.0, x.type))


_CLAMPING = (
    Epilogue("shift", 1, _shift),
    Epilogue("ties", 4, _ties),
    Epilogue("float32", 1, _float32, real=True, bounded=True),
    Epilogue("float32_large", 1, _float32, real=True),
    Epilogue("wrap", 3, _wrap),
    Epilogue("multiplier", 2, _multiplier),
    Epilogue("multiplier_ties", 4, _multiplier_ties),
    Epilogue("doubled", 3, _doubled),
    Epilogue("float64_half_even", 2, _float64_half_even),
    Epilogue("float64_half_away", 2, _float64_half_away),
)

_LONG = (
    Epilogue("shift_int64", 3, _shift_long, long=True),
    Epilogue("ties_int64", 9, _ties_long, long=True),
    Epilogue("multiplier_int64", 4, _multiplier_long, long=True),
)

FULL, WORDS = "_full", "_i16"
"""End the names of an epilogue's forms for a full range, and for codes of 16 bits."""

EPILOGUES = (
    Epilogue("raw", 0, _raw, wide=True),
    *_CLAMPING,
    *(replace(epilogue, name=epilogue.name + FULL, full=True) for epilogue in _CLAMPING),
    *_LONG,
    *(replace(epilogue, name=epilogue.name + WORDS, size=2) for epilogue in (*_CLAMPING, *_LONG)),
)
"""By number: literal integers choose among them in compiled code."""

NUMBERS = {epilogue.name: number for number, epilogue in enumerate(EPILOGUES)}


@dataclass(frozen=True)
class Scalars:
    """What an epilogue clamps with, in every lane.

    clip_low and clip_high: results below and above these are clipped; None unless they are counted. Real ones are
    halfway to the next integer or a float32 beside it, so that results need not be rounded to be compared.
    """

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
    ends = [load(b, row, type, 8 * column) for column in (CLIP_LOW, CLIP_HIGH)]
    if epilogue.real:
        ends = [_last_kept(b, end, side) for end, side in zip(ends, (-1, 1), strict=True)]
    return Scalars(low, high, offset, *(splat(b, end, lanes) for end in ends))


def _last_kept(b: Builder, end: Value, side: int) -> Value:
    """The float32 farthest out (side -1: down, 1: up) that half_even takes to `end`, an integer, |end| < 2**22, or in.

    That is the tie end + side / 2 where `end` is even, else the float32 next to it on the inner side.
    """
    tie = b.bitcast(b.fadd(end, ir.Constant(F32, side / 2)), I32)
    away = b.or_(b.ashr(tie, const(31, I32)), const(1, I32))  # what makes its size larger by 1 bit, as a real grows
    odd = b.and_(b.fptosi(end, I32), const(1, I32))
    return b.bitcast(b.sub(tie, b.mul(b.mul(away, odd), const(side, I32))), F32)


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
        below, above = b.fcmp_ordered("<", result, scalars.clip_low), b.fcmp_ordered(">", result, scalars.clip_high)
    else:
        below, above = b.icmp_signed("<", result, scalars.clip_low), b.icmp_signed(">", result, scalars.clip_high)
    return b.sext(below, type), b.sext(above, type)


def add_counts(b: Builder, counts: Value, below: Value, above: Value) -> None:
    """Add the lanes of two vectors of -1 and 0, negated, to int64[2]."""
    for number, lanes in enumerate((below, above)):
        total = call(b, f"llvm.vector.reduce.add.v{lanes.type.count}i32", I32, lanes)
        b.atomic_rmw("sub", pointer(b, counts, 8 * number), b.sext(total, I64), "monotonic")
