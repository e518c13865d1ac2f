"""The micro-kernel: MR pixels by NR vectors of output channels, all accumulators in registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from intsim.kernels.packed.epilogues import EPILOGUES, Epilogue, Scalars, add_counts, load_scalars
from intsim.kernels.packed.ir import (
    I32,
    I64,
    STEP,
    VECTORS,
    Builder,
    Value,
    Vectors,
    add_parts,
    const,
    dot,
    load,
    load_weights,
    spread_bytes,
    store,
    vector,
)
from intsim.kernels.packed.rows import COUNTS
from intsim.kernels.packed.stores import count_clipped, store_results


@intrinsic(prefer_literal=True)
def tile(
    typing: Any,
    pixels: Any,
    vectors: Any,
    epilogue: Any,
    isa: Any,
    count: Any,
    row: Any,
    source: Any,
    row_offsets: Any,
    tap_offsets: Any,
    taps: Any,
    steps: Any,
    weights: Any,
    parameters: Any,
    out: Any,
    out_offsets: Any,
    skip: Any,
    counts: Any,
) -> Any:
    """Store epilogue(start + sum over taps and k of x * w) for `pixels` pixels and `vectors` vectors of channels.

    Sums are made in 32 bits. Where the epilogue takes 64 (`long`), those of each tap are, for each part of the weights,
    and are then added up; the start values are part of that epilogue's vectors.

    Literal: pixels, vectors, epilogue (a number of EPILOGUES), isa (of VECTORS), count (whether clipped results are
    counted, but for the first `skip` pixels: added to the two vectors at `counts`, negated, lane by lane, which
    `add_lanes` adds up). The others are addresses and int64:
    x[m, tap, k] = source + row_offsets[m] + tap_offsets[tap] + 4 * k, four u8 or two i16; steps: k per tap.
    weights: [taps, steps, parts, vectors, lanes, 4 or 2] i8 (or i16, see ir.load_weights). parameters: the start
    values (int32; none where long), then the
    epilogue's vectors, each [vectors, lanes] of 32 bits. The result m goes to out + out_offsets[m].
    """
    literals = (pixels, vectors, epilogue, isa, count)
    if not all(isinstance(x, types.IntegerLiteral) for x in literals):
        return None
    shape = pixels.literal_value, vectors.literal_value
    finisher, v, counting = EPILOGUES[epilogue.literal_value], VECTORS[isa.literal_value], bool(count.literal_value)
    signature = types.void(*literals, *[types.int64] * 12)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _emit(b, *shape, finisher, v, counting, args[len(literals) :])
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def add_lanes(typing: Any, isa: Any, row: Any, counts: Any) -> Any:
    """Add what tiles counted in the two vectors at `counts` to the counts of the row. Literal: isa."""
    if not isinstance(isa, types.IntegerLiteral):
        return None
    lanes = vector(I32, VECTORS[isa.literal_value].lanes)

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        _, row, counts = args
        ends = [load(b, counts, lanes, 4 * lanes.count * end) for end in range(2)]
        add_counts(b, load(b, row, I64, 8 * COUNTS), *ends)
        return context.get_dummy_value()

    return types.void(isa, types.int64, types.int64), generate


def _emit(
    b: Builder, pixels: int, width: int, epilogue: Epilogue, v: Vectors, count: bool, args: tuple[Value, ...]
) -> None:
    row, source, row_offsets, tap_offsets, taps, steps, weights, parameters, out, out_offsets, skip, counts = args
    lanes = vector(I32, v.lanes)
    cells = range(pixels * width)
    lines = [b.add(source, load(b, row_offsets, I64, 8 * m)) for m in range(pixels)]
    across = width * v.parts
    if epilogue.long:
        starts = [const(0, vector(I64, v.lanes))] * width
    else:
        starts = [load(b, parameters, lanes, 4 * v.lanes * n) for n in range(width)]
    entry = b.block
    at_tap, at_step, after_tap, done = (b.append_basic_block(name) for name in ("tap", "step", "after_tap", "done"))
    b.branch(at_tap)

    b.position_at_end(at_tap)
    tap, at = _phi(b, I64, const(0), entry), _phi(b, I64, weights, entry)
    outer = [_phi(b, starts[0].type, starts[cell % width], entry) for cell in cells]
    offset = load(b, tap_offsets, I64, b.mul(tap, const(8)))
    here = [b.add(line, offset) for line in lines]
    b.branch(at_step)

    b.position_at_end(at_step)
    step, weight = _phi(b, I64, const(0), at_tap), _phi(b, I64, at, at_tap)
    before = [const(0, lanes)] * (pixels * across) if epilogue.long else outer
    inner = [_phi(b, lanes, acc, at_tap) for acc in before]
    columns = [load_weights(b, v, weight, n * v.weight_bytes) for n in range(across)]
    byte = b.mul(step, const(STEP))
    sums = list(inner)
    for m in range(pixels):
        codes = spread_bytes(b, v, load(b, here[m], I32, byte))
        for n in range(across):
            sums[m * across + n] = dot(b, v, inner[m * across + n], codes, columns[n])
    next_step, next_weight = b.add(step, const(1)), b.add(weight, const(across * v.weight_bytes))
    for phi, value in zip((step, weight, *inner), (next_step, next_weight, *sums), strict=True):
        phi.add_incoming(value, at_step)
    b.cbranch(b.icmp_signed("<", next_step, steps), at_step, after_tap)

    b.position_at_end(after_tap)
    next_tap = b.add(tap, const(1))
    totals = _with_tap(b, v, width, outer, sums) if epilogue.long else sums
    for phi, value in zip((tap, at, *outer), (next_tap, next_weight, *totals), strict=True):
        phi.add_incoming(value, after_tap)
    b.cbranch(b.icmp_signed("<", next_tap, taps), at_tap, done)

    b.position_at_end(done)
    scalars = load_scalars(b, epilogue, row, v.lanes, count)
    own = [
        [load(b, parameters, lanes, 4 * v.lanes * (width * (epilogue.starts + i) + n)) for i in range(epilogue.vectors)]
        for n in range(width)
    ]
    results = [epilogue.emit(b, acc, own[cell % width]) for cell, acc in enumerate(totals)]
    if count:
        _count(b, v, epilogue, results, scalars, width, skip, counts)
    pixel_places = [b.add(out, load(b, out_offsets, I64, 8 * m)) for m in range(pixels)]
    size = v.lanes * epilogue.bytes
    places = [b.add(pixel_places[cell // width], const(cell % width * size)) for cell in cells]
    store_results(b, v, epilogue, results, scalars, places, joined=width % 4 == 0)


def _with_tap(b: Builder, v: Vectors, width: int, totals: Sequence[Value], sums: Sequence[Value]) -> list[Value]:
    """Totals i64 of each pixel and vector, with the sums i32 of one tap, of each pixel, part and vector."""
    result = []
    for cell, total in enumerate(totals):
        pixel, column = divmod(cell, width)
        parts = [sums[(pixel * v.parts + part) * width + column] for part in range(v.parts)]
        result.append(b.add(total, add_parts(b, parts)))
    return result


def _count(
    b: Builder,
    v: Vectors,
    epilogue: Epilogue,
    results: Sequence[Value],
    scalars: Scalars,
    width: int,
    skip: Value,
    counts: Value,
) -> None:
    """Add what is clipped to the two vectors at `counts`; results need no mask but in a block's last tile."""
    with b.if_else(b.icmp_signed(">", skip, const(0)), likely=False) as branches:
        for masked, branch in zip((True, False), branches, strict=True):
            with branch:
                counted = [load(b, counts, vector(I32, v.lanes), 4 * v.lanes * end) for end in range(2)]
                for cell, result in enumerate(results):
                    wanted = b.icmp_signed(">=", const(cell // width), skip) if masked else None
                    counted = count_clipped(b, epilogue, result, scalars, wanted, counted)
                for end, total in enumerate(counted):
                    store(b, total, counts, 4 * v.lanes * end)


def _phi(b: Builder, type: Any, value: Value, block: Any) -> Value:
    phi = b.phi(type)
    phi.add_incoming(value, block)
    return phi


__all__ = ["tile"]
