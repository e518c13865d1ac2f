"""Quiet: whether other processes left us the cores that we run on, as Linux's /proc/stat says."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")

BUSY = (1, 2, 3, 6, 7, 8)
"""The fields of a core's line that are time not left to us: user, nice, system, irq, softirq, steal (proc(5))."""

SHARE = 0.07
"""The share of our cores' time that others may take in a quiet window."""

LEAST = 0.015
"""Seconds that others may take in any window: /proc/stat counts in steps of 10 ms."""

LOOK = 0.04
"""Seconds that one look at the cores' load takes."""


@dataclass(frozen=True)
class Watch:
    """The time that others took of some cores since the watch was started; `others` is None where nothing is known."""

    cores: frozenset[int]
    busy: float | None
    own: float
    start: float

    @classmethod
    def begin(cls, cores: Collection[int]) -> Watch:
        """A watch on these cores, from now on."""
        chosen = frozenset(cores)
        return cls(chosen, busy_seconds(chosen), time.process_time(), time.perf_counter())

    @property
    def others(self) -> float | None:
        """Core seconds that other processes took."""
        now = busy_seconds(self.cores)
        if now is None or self.busy is None:
            return None
        return now - self.busy - (time.process_time() - self.own)

    @property
    def quiet(self) -> bool:
        """Whether others took next to nothing; True where nothing is known."""
        others = self.others
        wall = time.perf_counter() - self.start
        return others is None or others < max(SHARE * wall * len(self.cores), LEAST)


def busy_seconds(cores: Collection[int], stat: Path = STAT) -> float | None:
    """Seconds that these cores have worked since the machine started, for anyone; None where nothing says so."""
    try:
        lines = stat.read_text(encoding="ascii").splitlines()
        ticks = {int(f[0][3:]): sum(int(f[i]) for i in BUSY) for f in map(str.split, lines) if f[0][3:].isdigit()}
        return sum(ticks[core] for core in cores) / float(os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, LookupError):
        return None


def wait_for_quiet(cores: Collection[int], patience: float) -> None:
    """Return once others leave the cores alone, or after `patience` seconds. At least one look is taken."""
    end = time.monotonic() + patience
    while True:
        before = busy_seconds(cores)
        time.sleep(LOOK)
        after = busy_seconds(cores)
        if before is None or after is None or after - before < LEAST or time.monotonic() > end:
            return


@contextmanager
def pinned(count: int) -> Iterator[frozenset[int]]:
    """Keep the calling thread, and threads that it starts, on the `count` cores with the least load; gives the cores.

    Where there are no more than that, or the system has no such call, nothing is pinned.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield frozenset(range(os.cpu_count() or 1))
        return
    before = os.sched_getaffinity(0)
    if count >= len(before):
        yield frozenset(before)
        return
    chosen = _least_loaded(before, count)
    os.sched_setaffinity(0, chosen)
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def _least_loaded(cores: Collection[int], count: int) -> frozenset[int]:
    first = {core: busy_seconds([core]) or 0.0 for core in cores}
    time.sleep(5 * LOOK)
    load = {core: (busy_seconds([core]) or 0.0) - first[core] for core in cores}
    return frozenset(sorted(cores, key=lambda core: (load[core], core))[:count])
