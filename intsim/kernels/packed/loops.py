"""Loops in LLVM's IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from intsim.kernels.packed.ir import I64, Builder, Value, const


def loop(
    b: Builder, trips: Value, initial: Sequence[Value], body: Callable[[Value, list[Value]], Sequence[Value]]
) -> list[Value]:
    """The values carried out of body(trip, values) -> values, for each trip of 0 to trips - 1, at least once."""
    entry = b.block
    again, done = b.append_basic_block("loop"), b.append_basic_block("done")
    b.branch(again)
    b.position_at_end(again)
    trip = b.phi(I64)
    trip.add_incoming(const(0), entry)
    carried = [b.phi(value.type) for value in initial]
    for phi, value in zip(carried, initial, strict=True):
        phi.add_incoming(value, entry)
    results = list(body(trip, list(carried)))
    following = b.add(trip, const(1))
    for phi, value in zip((trip, *carried), (following, *results), strict=True):
        phi.add_incoming(value, b.block)
    b.cbranch(b.icmp_signed("<", following, trips), again, done)
    b.position_at_end(done)
    return results
