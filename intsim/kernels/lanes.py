"""Sums that stay in vector registers from the first product to the last: the innermost loops of ordered saturating
sums and of sums of looked-up products.

A tile is a run of neighbouring output positions, `vectors` registers of 512 bits (on narrower machines LLVM splits
them; the bits are the same). Each function here is what the tile computes, in NumPy; compiled code gets the vector
instructions in its place. Both read whole vectors, so that `rows` must go on for SLACK elements after the last one
that matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array

REGISTER = 64
"""Bytes of a vector."""

SLACK = 8 * REGISTER // 2
"""Elements that the widest tile may read after the last one that matters: eight vectors of int16."""

EXACT, PLAIN, SATURATING, FULL = 0, 1, 2, 3
"""How a lane adds a product: exactly, where no clamp can change a sum; exactly, and is clamped; by an addition that
saturates at the lane's ends, and is clamped; by that addition alone, where the accumulator is as wide as the lane."""

SATURATING_WIDTHS, SUMMING_WIDTHS = (1, 2, 4), (1, 2, 4, 6, 8)
"""How many vectors a tile can have: with its operands it fits in 32 registers."""


def saturating_lanes(bits: int, product: int) -> tuple[type[np.signedinteger[Any]], int]:
    """The narrowest dtype whose lanes make a saturating accumulator of `bits` bits, and how they add a product.

    product: the largest magnitude of one, which the lane must hold. An addition that saturates at the lane's ends and
    then at the accumulator's is the exact sum, clamped: the accumulator's range is within the lane's.
    """
    for dtype in (np.int16, np.int32, np.int64):
        width = 8 * np.dtype(dtype).itemsize
        if bits <= width and product < 1 << (width - 1):
            exact = (1 << (bits - 1)) + product < 1 << (width - 1)
            return dtype, PLAIN if exact else FULL if bits == width else SATURATING
    raise ValueError(f"no lane holds a product of {product}: use operands of fewer bits, or the spec")


def saturating_tile(
    sums: Any,
    moved: Any,
    rows: Any,
    offsets: Any,
    weights: Any,
    others: Any,
    first: Any,
    ends: Any,
    outputs: Any,
    vectors: Any,
    how: Any,
) -> None:
    """sums[m, i] = clamp(sums[m, i] + weights_m[k] * rows[offsets[k] + i], *ends) for k in order, i a tile from first.

    weights_0 = weights, weights_1 = others, where outputs = 2; else only sums[0] changes. moved[m, i] becomes other
    than 0 where a clamp changed a sum. sums, moved, weights: of the lane's dtype, which `how` is made for. outputs:
    1 or 2. vectors: one of SATURATING_WIDTHS.
    """
    n = vectors * (REGISTER // sums.itemsize)
    place = slice(first, first + n)
    for m, own in enumerate((weights, others)[:outputs]):
        acc = sums[m, place].astype(np.int64)
        for k in range(offsets.shape[0]):
            total = acc + np.int64(own[k]) * rows[offsets[k] + first : offsets[k] + first + n].astype(np.int64)
            acc = total if how == EXACT else np.clip(total, ends[0], ends[1])
            moved[m, place] |= total != acc
        sums[m, place] = acc


def summing_tile(
    sums: Any, rows: Any, offsets: Any, start: Any, stop: Any, first: Any, at_once: Any, negative: Any, vectors: Any
) -> None:
    """sums[i] += or, where negative, -= sum over start <= k < stop of rows[offsets[k] + i], i a tile from first.

    Modulo the width of sums' dtype. at_once: how many of the rows' elements their own dtype can add without loss.
    negative: 0 or 1. vectors: one of SUMMING_WIDTHS.
    """
    n = vectors * (REGISTER // rows.itemsize)
    total = np.zeros(n, sums.dtype)
    for k in range(start, stop):
        total += rows[offsets[k] + first : offsets[k] + first + n]
    sums[first : first + n] += -total if negative else total


Builder = Any
"""llvmlite's builders, arrays and values have no types of their own."""


class Strip:
    """A run of an array in memory, as vectors of `lanes` elements."""

    def __init__(self, context: Any, builder: Builder, kind: Any, array: Any, lanes: int) -> None:
        self.builder, self.lanes, self.bits = builder, lanes, kind.dtype.bitwidth
        self.data = context.make_array(kind)(context, builder, array).data
        self.type = ir.VectorType(ir.IntType(self.bits), lanes)

    def vector(self, index: Any, number: int = 0) -> Any:
        """The vector that begins `number` vectors after the element `index`."""
        return self.builder.load(self.at(index, number), align=self.bits // 8)

    def store(self, value: Any, index: Any, number: int = 0) -> None:
        """Write the vector that begins `number` vectors after the element `index`."""
        self.builder.store(value, self.at(index, number), align=self.bits // 8)

    def at(self, index: Any, number: int) -> Any:
        """The address of a vector."""
        index = self.builder.add(index, index.type(number * self.lanes))
        return self.builder.bitcast(self.builder.gep(self.data, [index]), self.type.as_pointer())

    def element(self, index: Any) -> Any:
        """One element."""
        return self.builder.load(self.builder.gep(self.data, [index]))


def splat(builder: Builder, value: Any, lanes: int) -> Any:
    """A vector that has the value in every lane."""
    kind = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def of_width(builder: Builder, value: Any, bits: int) -> Any:
    """Integers or vectors of them in `bits` bits: extended by their signs, or cut off."""
    element = value.type.element if isinstance(value.type, ir.VectorType) else value.type
    if element.width == bits:
        return value
    kind = ir.IntType(bits)
    kind = ir.VectorType(kind, value.type.count) if isinstance(value.type, ir.VectorType) else kind
    return builder.sext(value, kind) if element.width < bits else builder.trunc(value, kind)


def call(builder: Builder, name: str, a: Any, b: Any) -> Any:
    """An LLVM intrinsic of two vectors: llvm.<name>.v<lanes>i<bits>."""
    signature = ir.FunctionType(a.type, [a.type, a.type])
    name = f"llvm.{name}.v{a.type.count}i{a.type.element.width}"
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(function, [a, b])


def loop(
    builder: Builder, start: Any, stop: Any, carried: list[Any], body: Callable[[Any, list[Any]], list[Any]]
) -> Any:
    """What body(index, carried) has made of the carried values after start <= index < stop."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(start.type)
    index.add_incoming(start, before)
    values = [builder.phi(value.type) for value in carried]
    for phi, value in zip(values, carried, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
    builder.position_at_end(inside)
    results = body(index, values)
    index.add_incoming(builder.add(index, index.type(1)), builder.block)
    for phi, value in zip(values, results, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return values


def choose(
    builder: Builder, choices: tuple[tuple[Any, tuple[int, ...]], ...], body: Callable[..., None], *chosen: int
) -> None:
    """body(*chosen), compiled once for each combination of the values that (value, what it may be) can have."""
    if not choices:
        body(*chosen)
        return
    (value, known), *others = choices
    blocks = [builder.append_basic_block(f"is_{number}") for number in known]
    after = builder.append_basic_block("chosen")
    switch = builder.switch(value, blocks[-1])
    for number, block in zip(known, blocks, strict=True):
        if block is not blocks[-1]:
            switch.add_case(value.type(number), block)
        builder.position_at_end(block)
        choose(builder, tuple(others), body, *chosen, number)
        builder.branch(after)
    builder.position_at_end(after)


@intrinsic
def _saturating_tile(
    typing: Any,
    sums: Any,
    moved: Any,
    rows: Any,
    offsets: Any,
    weights: Any,
    others: Any,
    first: Any,
    ends: Any,
    outputs: Any,
    vectors: Any,
    how: Any,
) -> Any:
    """saturating_tile as LLVM: the sums and their flags are carried through one loop over the products."""
    integer = types.int64
    signature = types.void(sums, moved, rows, offsets, weights, others, integer, ends, integer, integer, integer)

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        bits = kinds[0].dtype.bitwidth
        lanes = 8 * REGISTER // bits
        sums, moved, rows, offsets, *factors = (
            Strip(context, builder, kind, array, lanes) for kind, array in zip(kinds[:6], arguments[:6], strict=True)
        )
        first = arguments[6]
        length = builder.extract_value(context.make_array(kinds[0])(context, builder, arguments[0]).shape, 1)
        terms = builder.extract_value(context.make_array(kinds[3])(context, builder, arguments[3]).shape, 0)
        low, high = (
            splat(builder, of_width(builder, builder.extract_value(arguments[7], i), bits), lanes) for i in (0, 1)
        )

        def tile(count: int, width: int, rule: int) -> None:
            places = [
                (builder.add(first, builder.mul(length, length.type(m))), m, v)
                for m in range(count)
                for v in range(width)
            ]
            carried = [strip.vector(place, v) for strip in (sums, moved) for place, _, v in places]

            def product_added(k: Any, carried: list[Any]) -> list[Any]:
                place = builder.add(of_width(builder, offsets.element(k), 64), first)
                xs = [of_width(builder, rows.vector(place, v), bits) for v in range(width)]
                ws = [splat(builder, factors[m].element(k), lanes) for m in range(count)]
                accs, flags = [], []
                for (_, m, v), acc, flag in zip(places, carried[: len(places)], carried[len(places) :], strict=True):
                    product = builder.mul(ws[m], xs[v])
                    total = builder.add(acc, product)
                    kept = total if rule in (EXACT, PLAIN) else call(builder, "sadd.sat", acc, product)
                    if rule in (PLAIN, SATURATING):
                        kept = call(builder, "smax", call(builder, "smin", kept, high), low)
                    accs.append(kept)
                    # a sum that was clamped is, modulo the lane's width too, another number than what was kept
                    flags.append(builder.or_(flag, builder.xor(total, kept)))
                return accs + flags

            carried = loop(builder, terms.type(0), terms, carried, product_added)
            for strip, values in ((sums, carried[: len(places)]), (moved, carried[len(places) :])):
                for (place, _, v), value in zip(places, values, strict=True):
                    strip.store(value, place, v)

        hows = (EXACT, PLAIN) if bits == 64 else (EXACT, PLAIN, SATURATING, FULL)
        choose(
            builder,
            ((arguments[8], (1, 2)), (arguments[9], SATURATING_WIDTHS), (arguments[10], hows)),
            tile,
        )
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _summing_tile(
    typing: Any,
    sums: Any,
    rows: Any,
    offsets: Any,
    start: Any,
    stop: Any,
    first: Any,
    at_once: Any,
    negative: Any,
    vectors: Any,
) -> Any:
    """summing_tile as LLVM: narrow sums of at_once rows, and wide sums of those, all carried in registers."""
    integer = types.int64
    signature = types.void(sums, rows, offsets, integer, integer, integer, integer, integer, integer)

    def generate(context: Any, builder: Builder, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        bits = kinds[0].dtype.bitwidth
        lanes = 8 * REGISTER // kinds[1].dtype.bitwidth
        sums, rows, offsets = (
            Strip(context, builder, kind, array, lanes) for kind, array in zip(kinds[:3], arguments[:3], strict=True)
        )
        start, stop, first, at_once = arguments[3:7]
        zero = ir.Constant(rows.type, [0] * lanes)
        count = builder.sub(stop, start)
        blocks = builder.sdiv(builder.add(count, builder.sub(at_once, at_once.type(1))), at_once)

        def tile(subtracts: int, width: int) -> None:
            def block_added(number: Any, wide: list[Any]) -> list[Any]:
                begin = builder.add(start, builder.mul(number, at_once))
                end = builder.add(begin, at_once)
                end = builder.select(builder.icmp_signed("<", end, stop), end, stop)

                def row_added(k: Any, narrow: list[Any]) -> list[Any]:
                    place = builder.add(of_width(builder, offsets.element(k), 64), first)
                    return [builder.add(value, rows.vector(place, v)) for v, value in enumerate(narrow)]

                narrow = loop(builder, begin, end, [zero] * width, row_added)
                combine = builder.sub if subtracts else builder.add
                return [combine(w, of_width(builder, n, bits)) for w, n in zip(wide, narrow, strict=True)]

            wide = [sums.vector(first, v) for v in range(width)]
            for v, value in enumerate(loop(builder, blocks.type(0), blocks, wide, block_added)):
                sums.store(value, first, v)

        choose(builder, ((arguments[7], (0, 1)), (arguments[8], SUMMING_WIDTHS)), tile)
        return context.get_dummy_value()

    return signature, generate


@overload(saturating_tile)
def _compiled_saturating_tile(
    sums: Any,
    moved: Any,
    rows: Any,
    offsets: Any,
    weights: Any,
    others: Any,
    first: Any,
    ends: Any,
    outputs: Any,
    vectors: Any,
    how: Any,
) -> Callable[..., Any]:
    def compiled(
        sums: Any,
        moved: Any,
        rows: Any,
        offsets: Any,
        weights: Any,
        others: Any,
        first: Any,
        ends: Any,
        outputs: Any,
        vectors: Any,
        how: Any,
    ) -> Any:
        return _saturating_tile(sums, moved, rows, offsets, weights, others, first, ends, outputs, vectors, how)

    return compiled


@overload(summing_tile)
def _compiled_summing_tile(
    sums: Any, rows: Any, offsets: Any, start: Any, stop: Any, first: Any, at_once: Any, negative: Any, vectors: Any
) -> Callable[..., Any]:
    def compiled(
        sums: Any, rows: Any, offsets: Any, start: Any, stop: Any, first: Any, at_once: Any, negative: Any, vectors: Any
    ) -> Any:
        return _summing_tile(sums, rows, offsets, start, stop, first, at_once, negative, vectors)

    return compiled


@kernel
def magnitude(values: Any) -> Any:
    """The sum of the absolute values, int64."""
    total = np.int64(0)
    for i in range(values.shape[0]):
        total += abs(np.int64(values[i]))
    return total


@kernel
def saturating_rows(
    sums: Any,
    moved: Any,
    rows: Any,
    offsets: Any,
    weights: Any,
    others: Any,
    ends: Any,
    outputs: Any,
    length: Any,
    how: Any,
) -> None:
    """saturating_tile over the first `length` elements, in tiles as wide as there are."""
    lanes = REGISTER // sums.itemsize
    first = 0
    while first < length:
        left = (length - first + lanes - 1) // lanes
        vectors = 4 if left > 2 else left
        saturating_tile(sums, moved, rows, offsets, weights, others, first, ends, outputs, vectors, how)
        first += vectors * lanes


@kernel
def add_rows_at_once(
    sums: Any, rows: Any, offsets: Any, start: Any, stop: Any, at_once: Any, negative: Any, length: Any
) -> None:
    """summing_tile over the first `length` elements, in tiles as wide as there are."""
    lanes = REGISTER // rows.itemsize
    first = 0
    while first < length:
        left = (length - first + lanes - 1) // lanes
        vectors = 8 if left > 6 else 6 if left > 4 else 4 if left > 2 else left
        summing_tile(sums, rows, offsets, start, stop, first, at_once, negative, vectors)
        first += vectors * lanes


def with_slack(shape: tuple[int, ...], dtype: Any) -> tuple[Array, Array]:
    """An array of the shape, and the flat memory that it lies in with SLACK zeros after it."""
    size = int(np.prod(shape))
    memory = np.empty(size + SLACK, dtype)
    memory[size:] = 0
    return memory[:size].reshape(shape), memory
