"""Peak: the most products of 8-bit codes that the processor's VNNI units add up in a second, measured."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

FEATURES = frozenset({"+avx512f", "+avx512vnni"})
"""What the processor must have, in LLVM's words: without it the instruction aborts the process that compiles it."""

CHAINS = 16
"""Sums that do not wait for each other: two instructions a cycle with a latency of 5 need 10; 32 registers hold 16."""

LANES = 16
"""The int32 sums of one 512-bit register."""

MACS = CHAINS * LANES * 4
"""Multiply-accumulates of one pass of the loop: each 32-bit lane adds up four products."""

PASSES = 1 << 18
"""Passes of the loop in one call of one thread: about 0.5 ms."""


def peak_call(threads: int) -> tuple[Callable[[], Any], int] | None:
    """A call that keeps the VNNI units of `threads` cores busy, and the MACs that it does; None without AVX512-VNNI.

    Independent 512-bit vpdpbusd on registers alone: nothing that a network computes can be faster. None also where
    Numba is told not to compile, or for another processor.
    """
    if not has_vnni():
        return None
    loop = _loop()
    loop(1, 1)
    if threads == 1:
        return (lambda: loop(PASSES, 3)), PASSES * MACS
    pool = ThreadPoolExecutor(threads)

    def run() -> None:
        for future in [pool.submit(loop, PASSES * 8, 3) for _ in range(threads)]:
            future.result()

    return run, 8 * threads * PASSES * MACS


def has_vnni() -> bool:
    """Whether Numba compiles, and for a processor that has AVX512-VNNI."""
    import numba
    from numba.core.registry import cpu_target

    config: Any = numba.config
    if config.DISABLE_JIT:
        return False
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return set(features.split(",")) >= FEATURES


@cache
def _loop() -> Callable[[int, int], int]:
    """The compiled loop f(passes, x): CHAINS sums of x's bytes times themselves; their total keeps each of them."""
    import numba
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def vnni(context: Any, passes: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _emit(ir, builder, *arguments)

        return types.int64(types.int64, types.int64), generate

    @numba.njit("int64(int64, int64)", nogil=True)
    def loop(passes: int, x: int) -> int:
        return vnni(passes, x)

    return loop


def _emit(ir: Any, builder: Any, passes: Any, x: Any) -> Any:
    """LLVM IR of the loop. The sums start with different numbers, or LLVM would compute one for all."""
    i32, i64 = ir.IntType(32), ir.IntType(64)
    sums, bytes_ = ir.VectorType(i32, LANES), ir.VectorType(ir.IntType(8), 4 * LANES)
    name = "llvm.x86.avx512.vpdpbusd.512"
    module = builder.module
    dot = module.globals.get(name) or ir.Function(module, ir.FunctionType(sums, [sums, bytes_, bytes_]), name)

    def splat(value: Any) -> Any:
        single = builder.insert_element(ir.Constant(sums, ir.Undefined), value, ir.Constant(i32, 0))
        lanes = ir.Constant(sums, [0] * LANES)
        return builder.shuffle_vector(single, ir.Constant(sums, ir.Undefined), lanes)

    code = builder.trunc(x, i32)
    factor = builder.bitcast(splat(code), bytes_)
    starts = [splat(builder.add(code, ir.Constant(i32, k))) for k in range(CHAINS)]
    entry, body, after = builder.block, builder.append_basic_block("body"), builder.append_basic_block("after")
    builder.branch(body)
    builder.position_at_end(body)
    count = builder.phi(i64)
    chains = [builder.phi(sums) for _ in range(CHAINS)]
    nexts = [builder.call(dot, [chain, factor, factor]) for chain in chains]
    done = builder.add(count, ir.Constant(i64, 1))
    for phi, start, following in zip([count, *chains], [ir.Constant(i64, 0), *starts], [done, *nexts], strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", done, passes), body, after)
    builder.position_at_end(after)
    total = nexts[0]
    for value in nexts[1:]:
        total = builder.add(total, value)
    return builder.sext(builder.extract_element(total, ir.Constant(i32, 0)), i64)
