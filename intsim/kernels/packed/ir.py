"""A small LLVM vocabulary for the packed kernels: vectors, loads, stores, and the instructions without a name in IR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()

Builder: TypeAlias = Any
"""llvmlite's IRBuilder."""
Value: TypeAlias = Any


@dataclass(frozen=True)
class Vectors:
    """An instruction set as the emitters see it, and what it multiplies.

    lanes: 32-bit lanes of a vector. vnni: whether it has vpdpbusd. pairs: whether the products of two neighbours are
    added up in 16 bits, which saturate: only where those hold them. size: bytes of a code, of which each lane takes
    STEP: four u8 or two i16. parts: into how many i16 a weight is divided, each with sums of its own:
    weight = part 0 + 2**PART_BITS * part 1, so that the sums of each fit 32 bits for longer.
    """

    isa: str
    lanes: int
    vnni: bool
    size: int = 1
    parts: int = 1
    pairs: bool = False

    @property
    def narrow(self) -> bool:
        """Whether weights are i8, which else are i16."""
        return self.vnni or self.pairs

    @property
    def name(self) -> str:
        """What kernels are called by: the instruction set."""
        return self.isa.partition("_")[0]

    @property
    def codes(self) -> int:
        """Codes of a lane."""
        return STEP // self.size

    @property
    def weight_bytes(self) -> int:
        """Bytes of a vector of packed weights, of one part."""
        return self.lanes * self.codes * (1 if self.narrow else 2)


STEP = 4
"""Bytes of codes that each lane multiplies at a time."""

PART_BITS = 8
"""Bits of the low part of a weight, which is signed."""

VECTORS = (
    Vectors("avx512vnni", 16, True),
    Vectors("avxvnni", 8, True),
    Vectors("avx2", 8, False),
    Vectors("avx2_i16", 8, False, size=2),
    Vectors("avx2_i16_parts", 8, False, size=2, parts=2),
    Vectors("avx2_pairs", 8, False, pairs=True),
)
"""By number: literal integers choose among them in compiled code."""


def room_for_pairs(most: int, weights: int) -> bool:
    """Whether 16 bits hold the products of any two codes of 0 to `most` with weights of at most this size."""
    return 2 * most * weights <= 32767


NUMBERS = {vectors.isa: number for number, vectors in enumerate(VECTORS)}


def vector(element: Any, lanes: int) -> Any:
    """The type of a vector of `lanes` elements."""
    return ir.VectorType(element, lanes)


def const(value: int, type: Any = I64) -> Any:
    """An integer constant; of a vector type: in every lane."""
    if isinstance(type, ir.VectorType):
        return ir.Constant(type, [value] * type.count)
    return ir.Constant(type, value)


def real_const(value: float, type: Any) -> Any:
    """A constant in every lane of a vector of floats."""
    return ir.Constant(type, [value] * type.count)


def pointer(b: Builder, address: Value, offset: Value | int = 0) -> Value:
    """The pointer at address + offset bytes."""
    if not isinstance(offset, int):
        address = b.add(address, offset)
    elif offset:
        address = b.add(address, const(offset))
    return b.inttoptr(address, ir.PointerType())


def load(b: Builder, address: Value, type: Any, offset: Value | int = 0, align: int = 1) -> Value:
    """What lies at address + offset."""
    return b.load(pointer(b, address, offset), align=align, typ=type)


def store(b: Builder, value: Value, address: Value, offset: Value | int = 0) -> None:
    """Put a value at address + offset, unaligned."""
    b.store(value, pointer(b, address, offset), align=1)


def splat(b: Builder, value: Value, lanes: int) -> Value:
    """A vector with the value in every lane."""
    type = vector(value.type, lanes)
    first = b.insert_element(ir.Constant(type, ir.Undefined), value, const(0, I32))
    return b.shuffle_vector(first, ir.Constant(type, ir.Undefined), ir.Constant(vector(I32, lanes), [0] * lanes))


def call(b: Builder, name: str, result: Any, *operands: Value) -> Value:
    """A call of a function by its name: an LLVM intrinsic, or one of the C library."""
    found = b.module.globals.get(name)
    function = found or ir.Function(b.module, ir.FunctionType(result, [o.type for o in operands]), name)
    return b.call(function, operands)


def smin(b: Builder, x: Value, y: Value) -> Value:
    """The lesser of two signed integers or vectors of them."""
    return b.select(b.icmp_signed("<", x, y), x, y)


def smax(b: Builder, x: Value, y: Value) -> Value:
    """The greater of two signed integers or vectors of them."""
    return b.select(b.icmp_signed(">", x, y), x, y)


def clamp(b: Builder, x: Value, low: Value, high: Value) -> Value:
    """min(max(x, low), high), signed integers."""
    return smin(b, smax(b, x, low), high)


def fclamp(b: Builder, x: Value, low: Value, high: Value) -> Value:
    """min(max(x, low), high), floats without NaN."""
    x = b.select(b.fcmp_ordered(">", x, low), x, low)
    return b.select(b.fcmp_ordered("<", x, high), x, high)


def half_even(b: Builder, x: Value) -> Value:
    """The integers i32 nearest to a vector of floats within i32, ties to even."""
    lanes = x.type.count
    rounded = call(b, f"llvm.rint.v{lanes}f32", x.type, x)
    return b.fptosi(rounded, vector(I32, lanes))


def fma(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """x * y + z with one rounding, float32."""
    name = f"llvm.fma.v{x.type.count}f32" if isinstance(x.type, ir.VectorType) else "llvm.fma.f32"
    return call(b, name, x.type, x, y, z)


def spread_bytes(b: Builder, vectors: Vectors, word: Value) -> tuple[Value, ...]:
    """The operands of `dot` for a lane's activations (u8 or i16, one i32), the same in every lane."""
    lanes = vectors.lanes
    all_lanes = splat(b, word, lanes)
    if vectors.size == 2:
        return (b.bitcast(all_lanes, vector(I16, 2 * lanes)),)
    if vectors.narrow:
        return (b.bitcast(all_lanes, vector(I8, 4 * lanes)),)
    mask = const(0x00FF00FF, vector(I32, lanes))
    pairs = b.and_(all_lanes, mask), b.and_(b.lshr(all_lanes, const(8, vector(I32, lanes))), mask)
    return tuple(b.bitcast(pair, vector(I16, 2 * lanes)) for pair in pairs)


def load_weights(b: Builder, vectors: Vectors, address: Value, offset: int) -> tuple[Value, ...]:
    """The operands of `dot` for packed weights; offset: in bytes."""
    if vectors.narrow:
        return (load(b, address, vector(I8, 4 * vectors.lanes), offset, align=vectors.weight_bytes),)
    pair = 4 * vectors.lanes
    return tuple(
        load(b, address, vector(I16, 2 * vectors.lanes), offset + i * pair, align=pair)
        for i in range(vectors.codes // 2)
    )


def dot(b: Builder, vectors: Vectors, acc: Value, codes: tuple[Value, ...], weights: tuple[Value, ...]) -> Value:
    """acc + the products of a lane's codes and weights in each lane, modulo 2**32.

    Nothing saturates, where `pairs` have room.
    """
    if vectors.vnni:
        name = f"llvm.x86.avx512.vpdpbusd.{32 * vectors.lanes}"
        return call(b, name, acc.type, acc, codes[0], weights[0])
    if vectors.pairs:
        words = vector(I16, 2 * vectors.lanes)
        codes = (call(b, "llvm.x86.avx2.pmadd.ub.sw", words, codes[0], weights[0]),)
        weights = (const(1, words),)
    for pair, weight in zip(codes, weights, strict=True):
        acc = b.add(acc, call(b, "llvm.x86.avx2.pmadd.wd", acc.type, pair, weight))
    return acc


def add_parts(b: Builder, sums: Sequence[Value]) -> Value:
    """i64 lanes: the sums i32 of each part of the weights, put together."""
    wide = vector(I64, sums[0].type.count)
    total = b.sext(sums[0], wide)
    for part, own in enumerate(sums[1:], 1):
        total = b.add(total, b.shl(b.sext(own, wide), const(part * PART_BITS, wide)))
    return total


def divided(weights: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """The parts of weights of 16 bits: low + 2**PART_BITS * high, low of PART_BITS bits, signed."""
    wide = weights.astype(np.int32)
    half = 1 << (PART_BITS - 1)
    low = ((wide + half) & (2 * half - 1)) - half
    return low.astype(np.int16), ((wide - low) >> PART_BITS).astype(np.int16)
