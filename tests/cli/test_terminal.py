from __future__ import annotations

import io
import re
import time

import pytest

from intsim.cli import terminal
from intsim.kernels import _listeners


def test_a_table_on_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("[red]x", None, 12, ""), ("y" * 300, None, 3, "b")]
    terminal.table(("name", "empty", "count", "note"), rows, right=("count",))
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "count", "note"]
    assert first.split() == ["[red]x", "12"] and second.split() == ["y" * 300, "3", "b"]
    assert first == first.rstrip()


def test_a_table_without_headers(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(("", ""), [("a", "b")])
    assert capsys.readouterr().out == "a  b\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_folds_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal.table(("name", "count"), [("n" * 60, 123456789)], right=("count",), fold=("name",))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert all(len(line) <= 40 for line in lines) and any("123456789" in line for line in lines)
    assert sum(line.count("n") for line in lines[1:]) == 60


@pytest.mark.parametrize(("seconds", "drawn"), [(0.0, True), (1000.0, False)])
def test_a_bar_appears_when_it_takes_long(monkeypatch: pytest.MonkeyPatch, seconds: float, drawn: bool) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(terminal, "BAR_AFTER", seconds)
    monkeypatch.setenv("TERM", "xterm")
    with terminal.progress("working") as advance:
        time.sleep(0.01)
        advance(1, 2)
        advance(2, 2)
    assert ("working" in screen.getvalue()) == drawn


def test_no_bar_on_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "BAR_AFTER", 0.0)
    with terminal.progress("working") as advance:
        advance(1, 2)
    assert capsys.readouterr().err == ""


LINE = "compiling kernels, first run only: "


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, [1, 2, 3]), (1000.0, [])])
def test_a_terminal_says_that_kernels_compile_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, seconds: float, shown: list[int]
) -> None:
    """The second kernel is compiled for the first. The line goes when nothing is compiled, and at the end."""
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(terminal, "BAR_AFTER", seconds)
    with terminal.compiling():
        for name, begins in (("a", True), ("b", True), ("b", False), ("a", False), ("c", True)):
            _listeners.tell(name, begins)
    written = screen.getvalue().split("\r\x1b[K")
    assert [text for text in written if text] == [f"{LINE}{count}" for count in shown]
    if shown:
        assert written == ["", f"{LINE}1", f"{LINE}2", "", f"{LINE}3", ""]
    assert not _listeners._listeners


def test_one_kernel_that_takes_long_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(terminal, "BAR_AFTER", 0.02)
    with terminal.compiling():
        _listeners.tell("a", True)
        assert screen.getvalue() == ""
        until = time.monotonic() + 60
        while not screen.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        assert screen.getvalue() == f"\r\x1b[K{LINE}1"


def test_a_pipe_is_told_nothing_of_kernels(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "BAR_AFTER", 0.0)
    with terminal.compiling():
        _listeners.tell("a", True)
        _listeners.tell("a", False)
    assert capsys.readouterr() == ("", "")
