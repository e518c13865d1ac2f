"""Crew: threads that wait inside compiled code, without the GIL, for the next C function to call together.

A worker that has nothing to do spins, then yields its core between looks, and after about SPIN ticks sleeps on a
semaphore: calls that follow each other at once find it awake, and an idle crew uses no core.

Shared memory, in cache lines: the number of the call with its function and argument; how many workers are done; then a
line for each worker: whether it sleeps, what its function returned, its semaphore.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from intsim.kernels._jit import kernel
from intsim.kernels.packed.ir import I32, I64, Builder, call, const, pointer
from intsim.kernels.packed.memory import LINE, SPINS, fetch_add, invoke

Array = np.ndarray[Any, Any]

SPIN = 1 << 18
"""Ticks of the time-stamp counter before a worker sleeps: about 0.1 ms."""

FUNCTION, ARGUMENT = 8, 16
"""Of the call's line, after its number: the address of int64(argument, thread, threads), 0 to end; its argument."""

DONE, WORKERS = LINE, 2 * LINE
STATUS, SEMAPHORE = 8, 16
"""Of a worker's line, after whether it sleeps."""

PROCESS_PRIVATE = 0


class Crew:
    """Calls a C function int64(argument, thread, threads) in `threads` threads at once; the caller's is number 0.

    Calls from several threads take turns. The workers end with the Crew, with `close` or with the process; a process
    that was forked has workers of its own.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads!r}")
        self.threads = threads
        self._start()

    def __call__(self, function: int, argument: int) -> None:
        """Call the function at an address in each thread; returns when all are done.

        Errors: RuntimeError where one returned something else than 0.
        """
        if self._process != os.getpid():
            self._start()
        if not self._end.alive:
            raise RuntimeError("the crew has ended")
        with self._turn:
            call_all(self._shared.ctypes.data, function, argument, self.threads)
            statuses = [int(self._shared[(WORKERS + LINE * n + STATUS) // 8]) for n in range(self.threads)]
        for thread, status in enumerate(statuses):
            if status:
                raise RuntimeError(f"thread {thread} returned {status}")

    def close(self) -> None:
        """End the workers."""
        self._end()

    def _start(self) -> None:
        compile_all()
        memory = np.zeros(WORKERS + LINE * (self.threads + 1), np.uint8)
        first = -memory.ctypes.data % LINE
        self._shared = memory[first : first + WORKERS + LINE * self.threads].view(np.int64)
        self._turn, self._process = threading.Lock(), os.getpid()
        address = self._shared.ctypes.data
        workers = []
        for number in range(1, self.threads):
            if make_semaphore(address + WORKERS + LINE * number + SEMAPHORE) != 0:
                raise OSError("this system has no unnamed semaphores; use one thread")
            worker = threading.Thread(target=_work, args=(self._shared, number), name="intsim", daemon=True)
            workers.append(worker)
            worker.start()
        self._end = weakref.finalize(self, _end, self._shared, self._turn, workers, self._process)


@functools.cache
def compile_all() -> None:
    """Have the compiled code there before a thread waits for another to compile it."""
    shared = np.zeros((WORKERS + 2 * LINE) // 8, np.int64)
    call_all(shared.ctypes.data, 0, 0, 1)
    serve(shared.ctypes.data, 1, 2)


def _work(shared: Array, number: int) -> None:
    serve(shared.ctypes.data, number, (shared.nbytes - WORKERS) // LINE)


def _end(shared: Array, turn: threading.Lock, workers: list[threading.Thread], process: int) -> None:
    """Tell the workers to end and wait for them; compiled code must not be unloaded under them."""
    if process != os.getpid():
        return
    with turn:
        call_all(shared.ctypes.data, 0, 0, len(workers) + 1)
    for worker in workers:
        worker.join()


@kernel
def call_all(shared: Any, function: Any, argument: Any, threads: Any) -> None:
    """Have the workers call a function, call it as thread 0, and wait for them; function 0: the workers end."""
    exchange(shared + DONE, 0)
    exchange(shared + FUNCTION, function)
    exchange(shared + ARGUMENT, argument)
    fetch_add(shared, 1)
    for number in range(1, threads):
        line = shared + WORKERS + LINE * number
        if exchange(line, 0):
            wake(line + SEMAPHORE)
    if function:
        exchange(shared + WORKERS + STATUS, invoke(function, argument, 0, threads))
    spins = 0
    while read(shared + DONE) < threads - 1:
        spins += 1
        pause()
        if spins > SPINS:
            yield_core()


@kernel
def serve(shared: Any, number: Any, threads: Any) -> None:
    """Be worker `number` until it is told to end."""
    line = shared + WORKERS + LINE * number
    calls = 0
    while True:
        await_call(shared, calls, line)
        calls += 1
        function = read(shared + FUNCTION)
        if function:
            exchange(line + STATUS, invoke(function, read(shared + ARGUMENT), number, threads))
        fetch_add(shared + DONE, 1)
        if not function:
            break


@kernel
def await_call(shared: Any, calls: Any, line: Any) -> None:
    """Return when there were more calls than `calls`."""
    spins, start = 0, ticks()
    while read(shared) == calls:
        spins += 1
        pause()
        if spins <= SPINS:
            continue
        yield_core()
        if ticks() - start < SPIN:
            continue
        exchange(line, 1)
        # either it sees the next call here, or the caller sees that it sleeps
        if read(shared) == calls or not exchange(line, 0):
            sleep(line + SEMAPHORE)


@intrinsic
def read(typing: Any, address: Any) -> Any:
    """The int64 at an address, as other threads left it."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return b.load_atomic(pointer(b, args[0]), "seq_cst", 8, typ=I64)

    return types.int64(types.int64), generate


@intrinsic
def exchange(typing: Any, address: Any, value: Any) -> Any:
    """The int64 at an address before `value` takes its place, in the order that all threads see."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return b.atomic_rmw("xchg", pointer(b, args[0]), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def pause(typing: Any) -> Any:
    """Leave the core's other thread more of it for a moment."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        call(b, "llvm.x86.sse2.pause", ir.VoidType())
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def yield_core(typing: Any) -> Any:
    """Let another thread have the core."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        call(b, "sched_yield", I32)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def ticks(typing: Any) -> Any:
    """The time-stamp counter."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return call(b, "llvm.readcyclecounter", I64)

    return types.int64(), generate


@intrinsic
def new_semaphore(typing: Any, address: Any) -> Any:
    """Make the semaphore at an address, with the count 0; what sem_init returns."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return b.sext(call(b, "sem_init", I32, pointer(b, args[0]), const(PROCESS_PRIVATE, I32), const(0, I32)), I64)

    return types.int64(types.int64), generate


@intrinsic
def wake(typing: Any, semaphore: Any) -> Any:
    """Add 1 to a semaphore."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        call(b, "sem_post", I32, pointer(b, args[0]))
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def try_sleep(typing: Any, semaphore: Any) -> Any:
    """Take 1 from a semaphore when there is one; 0, or -1 where a signal came first."""

    def generate(context: Any, b: Builder, signature: Any, args: Any) -> Any:
        return b.sext(call(b, "sem_wait", I32, pointer(b, args[0])), I64)

    return types.int64(types.int64), generate


@kernel
def sleep(semaphore: Any) -> None:
    """Take 1 from a semaphore, whatever signals come."""
    while try_sleep(semaphore) != 0:
        pass


@kernel
def make_semaphore(address: Any) -> Any:
    """Make the semaphore at an address; 0, or -1 where there is none."""
    return new_semaphore(address)
