from __future__ import annotations

import os
from pathlib import Path

import pytest

from intsim.benchmark import quiet
from intsim.benchmark.quiet import Watch, busy_seconds, pinned

STAT = """cpu  1 2 3 4 5 6 7 8 9 10
cpu0 100 20 3 5000 700 4 50 6 9999 8888
cpu1 1 1 1 1 1 1 1 1 1 1
intr 123 4
ctxt 5
"""


def test_what_a_core_has_worked(tmp_path: Path) -> None:
    """user, nice, system, irq, softirq and steal; not idle, not waiting for a disk, not guests, which user holds."""
    (tmp_path / "stat").write_text(STAT)
    ticks = os.sysconf("SC_CLK_TCK")
    assert busy_seconds([0], tmp_path / "stat") == (100 + 20 + 3 + 4 + 50 + 6) / ticks
    assert busy_seconds([0, 1], tmp_path / "stat") == (183 + 6) / ticks


@pytest.mark.parametrize("text", ["", "cpu  1 2 3\n", "cpu0 1 2\n", "cpu0 a b c d e f g h i\n"])
def test_where_nothing_is_said_nothing_is_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "stat").write_text(text)
    assert busy_seconds([0], tmp_path / "stat") is None
    assert busy_seconds([0], tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("taken", "own", "wall", "expected"),
    [(1.0, 1.0, 1.0, True), (1.05, 1.0, 1.0, True), (1.09, 1.0, 1.0, False), (0.11, 0.1, 0.1, True)],
)
def test_others_are_what_is_not_our_own(
    monkeypatch: pytest.MonkeyPatch, taken: float, own: float, wall: float, expected: bool
) -> None:
    watch = Watch(frozenset({0}), 5.0, 2.0, 7.0)
    monkeypatch.setattr(quiet, "busy_seconds", lambda cores: 5.0 + taken)
    monkeypatch.setattr("time.process_time", lambda: 2.0 + own)
    monkeypatch.setattr("time.perf_counter", lambda: 7.0 + wall)
    assert watch.others == pytest.approx(taken - own)
    assert watch.quiet is expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system pins nothing")
def test_pinned_and_free_again() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1) as cores:
        assert len(cores) == 1 and os.sched_getaffinity(0) == cores <= before
    assert os.sched_getaffinity(0) == before
    with pinned(len(before) + 1) as cores:
        assert cores == before
