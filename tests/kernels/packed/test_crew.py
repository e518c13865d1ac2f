# mypy: disable-error-code="no-untyped-call"
"""Crews: every thread is called once, calls take turns, errors reach the caller, and nothing waits for ever."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import carray, types

from intsim.kernels._jit import op
from intsim.kernels.packed.crew import Crew
from intsim.kernels.packed.memory import at, fetch_add
from tests.kernels.packed.run import needs_instructions

pytestmark = needs_instructions

COUNTS = 8


@pytest.fixture(scope="module")
def mark() -> Any:
    """A function that adds 1 at its thread's place, and the number of threads at the last one."""

    def mark(argument: Any, thread: Any, threads: Any) -> Any:
        fetch_add(argument + 8 * thread, 1)
        fetch_add(argument + 8 * (COUNTS - 1), threads)
        return 0

    return op(mark)


@pytest.fixture(scope="module")
def fail() -> Any:
    """A function that returns 7 in the thread whose number is at its argument."""

    def fail(argument: Any, thread: Any, threads: Any) -> Any:
        return 7 if carray(at(argument), 1, types.int64)[0] == thread else 0

    return op(fail)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_each_thread_is_called_once(mark: Any, threads: int) -> None:
    """Many calls that follow each other at once, then some after which the workers have gone to sleep."""
    counts, crew = np.zeros(COUNTS, np.int64), Crew(threads)
    for _ in range(2000):
        crew(mark.address, counts.ctypes.data)
    assert counts.tolist() == [2000] * threads + [0] * (COUNTS - 1 - threads) + [2000 * threads * threads]
    for pause in (0.0, 0.00005, 0.0001, 0.0002, 0.01) * 4:
        time.sleep(pause)
        crew(mark.address, counts.ctypes.data)
    assert counts[:threads].tolist() == [2020] * threads
    crew.close()


def test_calls_from_several_threads_take_turns(mark: Any) -> None:
    counts, crew = np.zeros(COUNTS, np.int64), Crew(3)

    def call() -> None:
        for _ in range(300):
            crew(mark.address, counts.ctypes.data)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert counts[:3].tolist() == [1200] * 3


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_reaches_the_caller(fail: Any, mark: Any, failing: int) -> None:
    which, counts, crew = np.array([failing]), np.zeros(COUNTS, np.int64), Crew(3)
    for _ in range(3):
        with pytest.raises(RuntimeError, match=f"thread {failing} returned 7"):
            crew(fail.address, which.ctypes.data)
        crew(fail.address, np.array([9]).ctypes.data)
    crew(mark.address, counts.ctypes.data)
    assert counts[:3].tolist() == [1] * 3


def test_an_idle_crew_uses_no_core(mark: Any) -> None:
    counts, crew = np.zeros(COUNTS, np.int64), Crew(3)
    crew(mark.address, counts.ctypes.data)
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


def until(true: Callable[[], bool]) -> bool:
    """Whether it comes true within some seconds."""
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_the_workers_end(mark: Any) -> None:
    before = set(threading.enumerate())
    crew = Crew(3)
    workers = set(threading.enumerate()) - before
    assert len(workers) == 2
    crew.close()
    assert not any(worker.is_alive() for worker in workers)
    crew.close()
    with pytest.raises(RuntimeError, match="the crew has ended"):
        crew(mark.address, 0)
    forgotten = Crew(2)
    gone = weakref.ref(forgotten)
    del forgotten
    gc.collect()
    assert gone() is None
    assert until(lambda: set(threading.enumerate()) <= before)


SCRIPT = """
import os
import numba
import numpy as np
from intsim.kernels.packed.crew import Crew
from intsim.kernels.packed.memory import fetch_add

def mark(argument, thread, threads):
    fetch_add(argument + 8 * thread, 1)
    return 0

made = numba.cfunc("int64(int64, int64, int64)")(mark)
counts = np.zeros(2, np.int64)
crew = Crew(2)
crew(made.address, counts.ctypes.data)
child = os.fork()
crew(made.address, counts.ctypes.data)
assert counts.tolist() == [2, 2], counts
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_process_ends_and_a_forked_one_has_workers_of_its_own() -> None:
    """Neither closes its crew."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "done\ndone\n"), done.stderr


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        Crew(0)
