from __future__ import annotations

from typing import Any

import pytest

from intsim.benchmark import timing
from intsim.benchmark.timing import TRIES, Timing, interleave


class Clock:
    """A clock that only the calls move, and a Watch that says which turns were quiet."""

    def __init__(self, quiet: list[bool]) -> None:
        self.now = 0.0
        self.verdicts = iter(quiet)

    def perf_counter(self) -> float:
        return self.now

    def begin(self, cores: Any) -> Clock:
        return self

    @property
    def quiet(self) -> bool:
        return next(self.verdicts)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Clock:
    made = Clock(request.param)
    monkeypatch.setattr(timing, "time", made)
    monkeypatch.setattr(timing, "Watch", made)
    monkeypatch.setattr(timing, "wait_for_quiet", lambda cores, patience: None)
    return made


def call_of(clock: Clock, log: list[str], name: str, seconds: list[float]) -> Any:
    left = iter(seconds)

    def call() -> None:
        log.append(name)
        clock.now += next(left)

    return call


@pytest.mark.parametrize("clock", [[True] * 6], indirect=True)
def test_competitors_take_turns_and_the_first_call_is_not_counted(clock: Clock) -> None:
    log: list[str] = []
    calls = {
        "a": call_of(clock, log, "a", [9.0, 3.0, 1.0, 2.0]),
        "b": call_of(clock, log, "b", [0.5, 5.0, 7.0, 4.0]),
    }
    made = interleave(calls, [0], rounds=3, window=1.0)
    assert log == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert made == {"a": Timing(2.0, 1.0, 3, True), "b": Timing(5.0, 4.0, 3, True)}


@pytest.mark.parametrize("clock", [[True, True]], indirect=True)
def test_a_turn_lasts_a_window(clock: Clock) -> None:
    log: list[str] = []
    made = interleave({"a": call_of(clock, log, "a", [1.0] * 9)}, [0], rounds=2, window=4.0)
    assert len(log) == 9 and made["a"] == Timing(1.0, 1.0, 2, True)


@pytest.mark.parametrize("clock", [[False, True, False, True]], indirect=True)
def test_a_disturbed_turn_is_not_counted(clock: Clock) -> None:
    made = interleave({"a": call_of(clock, [], "a", [1.0, 8.0, 2.0, 9.0, 3.0])}, [0], rounds=2, window=1.0)
    assert made["a"] == Timing(2.5, 2.0, 2, True)


@pytest.mark.parametrize("clock", [[False] * TRIES * 2], indirect=True)
def test_without_a_quiet_turn_all_are_counted_and_that_is_said(clock: Clock) -> None:
    seconds = [1.0, *(float(n) for n in range(2, 2 + TRIES * 2))]
    made = interleave({"a": call_of(clock, [], "a", seconds)}, [0], rounds=2, window=1.0)
    assert made["a"] == Timing(4.5, 2.0, TRIES * 2, False)
