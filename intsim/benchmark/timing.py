"""Timing: competitors take turns, so that a machine whose speed drifts slows all of them, and medians are compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from intsim.benchmark.quiet import Watch, wait_for_quiet

Call = Callable[[], Any]

TRIES = 3
"""How many turns are taken, at most, for each quiet one that is asked for."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median of the turns' medians, and the least of all. turns: those counted; quiet: were they.

    Where no turn was quiet, all of them are counted.
    """

    median: float
    best: float
    turns: int
    quiet: bool


@dataclass
class _Turns:
    """The seconds of each call, by turn: of the quiet turns, and of the others."""

    quiet: list[list[float]] = field(default_factory=list)
    disturbed: list[list[float]] = field(default_factory=list)

    def timing(self) -> Timing:
        turns = self.quiet or self.disturbed
        medians = [statistics.median(turn) for turn in turns]
        return Timing(statistics.median(medians), min(map(min, turns)), len(turns), bool(self.quiet))


def interleave(
    calls: Mapping[str, Call],
    cores: Collection[int],
    *,
    rounds: int,
    window: float = 0.2,
    patience: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Timing]:
    """The Timing of each call; they take turns until each has had `rounds` quiet ones.

    A turn: wait until others leave the cores alone, for `patience` seconds at most; then call for `window` seconds,
    once at least. A turn in which other processes took more than a few percent of the cores is not counted, unless
    TRIES * rounds turns bring no quiet one. A first call, which compiles and warms up, is never counted.
    progress: called with (rounds done, rounds known to be needed).
    """
    for call in calls.values():
        call()
    turns = {name: _Turns() for name in calls}
    for number in range(TRIES * rounds):
        missing = [name for name in calls if len(turns[name].quiet) < rounds]
        if not missing:
            break
        for name in missing:
            wait_for_quiet(cores, patience)
            watch = Watch.begin(cores)
            seconds = _turn(calls[name], window)
            (turns[name].quiet if watch.quiet else turns[name].disturbed).append(seconds)
        if progress is not None:
            progress(number + 1, max(rounds, number + 1))
    return {name: turn.timing() for name, turn in turns.items()}


def _turn(call: Call, window: float) -> list[float]:
    """The seconds of each call in one turn."""
    seconds: list[float] = []
    end = time.perf_counter() + window
    while not seconds or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds
