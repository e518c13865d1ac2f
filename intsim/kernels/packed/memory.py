"""Memory by address: views of it, calls of cfuncs, atomic counters, and the barrier of threads."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from intsim.kernels._jit import kernel
from intsim.kernels.packed.ir import I8, I32, I64, Builder, call, const, pointer
from intsim.kernels.packed.rows import COLUMNS

SPINS = 400
"""Pauses before a waiting thread yields its core: a pure spin is ruinous where cores are shared."""

LINE = 64
"""Bytes of a cache line."""


@intrinsic
def at(typing: Any, address: Any) -> Any:
    """The void pointer of an address."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return b.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@intrinsic
def invoke(typing: Any, function: Any, row: Any, start: Any, stop: Any) -> Any:
    """The result of the cfunc int64(row, start, stop) at an address."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        type = ir.FunctionType(I64, [I64] * 3)
        return b.call(b.inttoptr(args[0], type.as_pointer()), args[1:])

    return types.int64(*[types.int64] * 4), generate


@intrinsic
def fetch_add(typing: Any, address: Any, amount: Any) -> Any:
    """The int64 at an address before `amount` is added to it, atomically."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return b.atomic_rmw("add", pointer(b, args[0]), args[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def wait_for_all(typing: Any, barrier: Any, threads: Any, counter: Any) -> Any:
    """Return when `threads` threads have come; the last one first sets the int64 at `counter` to 0.

    barrier: the address of two cache lines: how many have come, and the number of the generation.
    """

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        barrier, threads, counter = args
        come, generation = pointer(b, barrier), pointer(b, barrier, LINE)
        last, wait, spin, give_up, again, done = (
            b.append_basic_block(name) for name in ("last", "wait", "spin", "yield", "again", "done")
        )
        now = b.load_atomic(generation, "acquire", 8, typ=I64)
        before = b.atomic_rmw("add", come, const(1), "acq_rel")
        entry = b.block
        b.cbranch(b.icmp_signed("==", before, b.sub(threads, const(1))), last, wait)

        b.position_at_end(last)
        b.atomic_rmw("xchg", come, const(0), "acq_rel")
        b.atomic_rmw("xchg", pointer(b, counter), const(0), "acq_rel")
        b.atomic_rmw("xchg", generation, b.add(now, const(1)), "acq_rel")
        b.branch(done)

        b.position_at_end(wait)
        turns = b.phi(I64)
        turns.add_incoming(const(0), entry)
        call(b, "llvm.x86.sse2.pause", ir.VoidType())
        b.cbranch(b.icmp_signed("==", b.load_atomic(generation, "acquire", 8, typ=I64), now), spin, done)
        b.position_at_end(spin)
        turned = b.add(turns, const(1))
        b.cbranch(b.icmp_signed(">", turned, const(SPINS)), give_up, again)
        b.position_at_end(give_up)
        call(b, "sched_yield", I32)
        b.branch(again)
        b.position_at_end(again)
        turns.add_incoming(turned, again)
        b.branch(wait)
        b.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


@intrinsic(prefer_literal=True)
def stack(typing: Any, bytes: Any) -> Any:
    """The address of `bytes` bytes (literal) in the caller's frame, aligned to 64."""
    if not isinstance(bytes, types.IntegerLiteral):
        return None
    size = bytes.literal_value

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        with b.goto_entry_block():
            memory = b.alloca(I8, size=const(size))
        memory.align = 64
        return b.ptrtoint(memory, I64)

    return types.int64(bytes), generate


@kernel
def as_row(address: Any) -> Any:
    """int64[COLUMNS] at an address."""
    return carray(at(address), COLUMNS, types.int64)
