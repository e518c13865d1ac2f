"""How vectors of results become stored bytes in memory, four vectors at a time where there are four."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from intsim.kernels.packed.epilogues import Epilogue, Scalars, clipped, finish
from intsim.kernels.packed.ir import I8, I16, I32, Builder, Value, Vectors, call, const, splat, store, vector


def count_clipped(
    b: Builder, epilogue: Epilogue, result: Value, scalars: Scalars, wanted: Value | None, counted: Sequence[Value]
) -> list[Value]:
    """The lanes' counts so far of what is clipped low and high, negated, and those of a result where it is wanted.

    wanted: i1, or -1 and 0 in the lanes of a vector of i32; None where it always is.
    """
    if wanted is None:
        flags = clipped(b, epilogue, result, scalars)
        return [b.add(total, flag) for total, flag in zip(counted, flags, strict=True)]
    mask = wanted if wanted.type == result_lanes(result) else splat(b, b.sext(wanted, I32), result.type.count)
    flags = clipped(b, epilogue, result, scalars)
    return [b.add(total, b.and_(flag, mask)) for total, flag in zip(counted, flags, strict=True)]


def result_lanes(result: Value) -> Any:
    """The type of a vector of i32 with the same number of lanes."""
    return vector(I32, result.type.count)


def store_results(
    b: Builder,
    v: Vectors,
    epilogue: Epilogue,
    results: Sequence[Value],
    scalars: Scalars,
    places: Sequence[Value],
    joined: bool = False,
) -> None:
    """Store clamp(result, LOW, HIGH) + OFFSET of each unclamped result, `lanes` elements at each place.

    joined: the places of each four results, from the first on, lie one after the other.

    Bytes are made four vectors at a time. Integers are narrowed with saturation, which changes nothing that the clamp
    does not change too: i32 to i16, + OFFSET, to u8, and only then the clamp, of four vectors at once.
    """
    fours = len(results) // 4 * 4 if epilogue.bytes == 1 else 0
    for i in range(0, fours, 4):
        _store_four(b, v, epilogue, results[i : i + 4], scalars, places[i : i + (1 if joined else 4)])
    for result, place in zip(results[fours:], places[fours:], strict=True):
        stored = finish(b, epilogue, result, scalars)
        store(b, stored if epilogue.wide else b.trunc(stored, vector(ir.IntType(8 * epilogue.size), v.lanes)), place)


def _store_four(
    b: Builder, v: Vectors, epilogue: Epilogue, results: Sequence[Value], scalars: Scalars, places: Sequence[Value]
) -> None:
    lowest, highest = scalars.low, scalars.high
    if epilogue.real:
        # what is below i32 becomes its lowest integer, which the later clamp still puts right
        if not epilogue.bounded:
            results = [fmin(b, result, highest) for result in results]
        results = [nearest_even(b, v, result) for result in results]
        lowest, highest = (b.fptosi(limit, vector(I32, v.lanes)) for limit in (lowest, highest))
    words = b.trunc(scalars.offset, vector(I16, v.lanes))
    offset = b.shuffle_vector(words, words, const(0, vector(I32, 2 * v.lanes)))
    halves = [add_saturating(b, halves_of(b, v, *pair), offset) for pair in (results[:2], results[2:])]
    stored = bytes_of(b, v, *halves)
    if not epilogue.full:
        low, high = (b.trunc(b.add(limit, scalars.offset), vector(I8, v.lanes)) for limit in (lowest, highest))
        everywhere = const(0, vector(I32, 4 * v.lanes))
        low, high = (b.shuffle_vector(limit, limit, everywhere) for limit in (low, high))
        stored = b.select(b.icmp_unsigned(">", stored, low), stored, low)
        stored = b.select(b.icmp_unsigned("<", stored, high), stored, high)
    _scatter(b, v, stored, places)


def nearest_even(b: Builder, v: Vectors, x: Value) -> Value:
    """The integers i32 nearest to a vector of floats, ties to even; -2**31 where i32 holds none (CVTPS2DQ)."""
    result = vector(I32, v.lanes)
    if v.lanes == 16:
        unmasked, rounding = const(-1, I16), const(4, I32)
        return call(b, "llvm.x86.avx512.mask.cvtps2dq.512", result, x, const(0, result), unmasked, rounding)
    return call(b, "llvm.x86.avx.cvt.ps2dq.256", result, x)


def fmin(b: Builder, x: Value, y: Value) -> Value:
    """The lesser of two vectors of floats without NaN."""
    return b.select(b.fcmp_ordered("<", x, y), x, y)


def halves_of(b: Builder, v: Vectors, x: Value, y: Value) -> Value:
    """i16 of two vectors of i32, saturated; in each 16 bytes four of x, then four of y."""
    name = "llvm.x86.avx512.packssdw.512" if v.lanes == 16 else "llvm.x86.avx2.packssdw"
    return call(b, name, vector(I16, 2 * v.lanes), x, y)


def bytes_of(b: Builder, v: Vectors, x: Value, y: Value) -> Value:
    """u8 of two vectors of i16, saturated; in each 16 bytes eight of x, then eight of y."""
    name = "llvm.x86.avx512.packuswb.512" if v.lanes == 16 else "llvm.x86.avx2.packuswb"
    return call(b, name, vector(I8, 4 * v.lanes), x, y)


def add_saturating(b: Builder, x: Value, y: Value) -> Value:
    """x + y, saturated; vectors of i16."""
    return call(b, f"llvm.sadd.sat.v{x.type.count}i16", x.type, x, y)


def _scatter(b: Builder, v: Vectors, stored: Value, places: Sequence[Value]) -> None:
    """Store the four vectors whose bytes lie four by four in `stored`, as packs of packs leave them.

    places: of each of the four, or of the first where they lie one after the other.
    """
    words = b.bitcast(stored, vector(I32, v.lanes))
    if len(places) == 1:
        order = [i + 4 * k for i in range(4) for k in range(v.lanes // 4)]
        store(b, b.shuffle_vector(words, words, ir.Constant(vector(I32, v.lanes), order)), places[0])
        return
    for i, place in enumerate(places):
        mine = ir.Constant(vector(I32, v.lanes // 4), [i + 4 * k for k in range(v.lanes // 4)])
        store(b, b.shuffle_vector(words, words, mine), place)
