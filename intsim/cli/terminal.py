"""What people read: tables and lines on stdout, notes and progress bars on stderr; on a pipe the same, unstyled."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from intsim.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 4000
"""Columns of a pipe: a table there is never folded."""

WIDE = 150
"""Columns from which on a terminal counts as wide."""

BAR_AFTER = 1.0
"""Seconds that a command works before it shows a progress bar."""


def say(text: str = "", style: str = "") -> None:
    """One line on stdout, folded at words on a terminal."""
    from rich.text import Text

    _print(Text(printable(text), style=style))


def heading(text: str) -> None:
    """A line that opens a part of the output."""
    say(text, "bold")


def note(text: str) -> None:
    """One line on stderr: what was decided for the user, or what they should know."""
    click.echo(f"intsim: {printable(text)}", err=True)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    right: Sequence[str] = (),
    fold: Sequence[str] = (),
    style: Callable[[int], str] = lambda row: "",
) -> None:
    """A table on stdout; a column in which every cell is empty is left out.

    headers: all empty for a table without any. right: the columns that are flush right. fold: those that are folded
    first where the terminal is too narrow. style: the colour of the row of that index.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [["" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    shown = [i for i in range(len(headers)) if any(row[i] for row in cells)]
    terminal = console().is_terminal
    # The box puts a blank between columns.
    lines, gap = (box.SIMPLE_HEAD, 1) if terminal else (None, 2)
    made: Table = Table(box=lines, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold", show_edge=False)
    made.show_header = any(headers)
    for i in shown:
        justify: Any = "right" if headers[i] in right else "left"
        made.add_column(headers[i], justify=justify, overflow="fold", no_wrap=headers[i] not in fold)
    for index, row in enumerate(cells):
        made.add_row(*(Text(row[i]) for i in shown), style=style(index))
    _print(made)


def wide() -> bool:
    """Whether stdout has room for columns that are good to have, but no more than that."""
    return console().width >= WIDE


def console() -> Console:
    """The console on stdout, as wide as the terminal; on a pipe wide enough for anything."""
    from rich.console import Console

    made = Console(markup=False, highlight=False, emoji=False)
    return made if made.is_terminal else Console(markup=False, highlight=False, emoji=False, width=PIPE_WIDTH)


def _print(what: Any) -> None:
    """Print through rich; on a pipe without the blanks that it leaves at the ends of lines."""
    target = console()
    if target.is_terminal:
        target.print(what)
        return
    with target.capture() as captured:
        target.print(what)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that draws a bar on a terminal's stderr once the work has taken a second."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(description, total=None)
    began = time.monotonic()
    shown = False

    def advance(done: int, total: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - began > BAR_AFTER:
            bar.start()
            shown = True
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


@contextmanager
def compiling() -> Iterator[None]:
    """Inside, a terminal's stderr says how many kernels were compiled so far, while one more is and it takes long."""
    if not sys.stderr.isatty():
        yield
        return
    from intsim.run.compiling import listening

    line = _Compiling()
    with listening(line.told):
        try:
            yield
        finally:
            line.clear()


class _Compiling:
    """The line that stands on stderr while a kernel is compiled, once compiling has taken a second."""

    def __init__(self) -> None:
        self.kernels = 0
        self.now = 0  # kernels that are compiled for each other
        self.began = 0.0
        self.shown = ""
        self.lock = threading.RLock()

    def told(self, name: str, begins: bool) -> None:
        """Take note of the begin or the end of one compilation."""
        with self.lock:
            if begins:
                self.kernels += 1
                self.now += 1
                if self.kernels == 1:
                    self.began = time.monotonic()
                    clock = threading.Timer(BAR_AFTER, self.show)
                    clock.daemon = True
                    clock.start()
                self.show()
            else:
                self.now -= 1
                if not self.now:
                    self.clear()

    def show(self) -> None:
        """Write the line if it is time."""
        with self.lock:
            if self.now and time.monotonic() - self.began >= BAR_AFTER:
                self._write(f"compiling kernels, first run only: {self.kernels}")

    def clear(self) -> None:
        """Leave the line empty again."""
        with self.lock:
            self.now = 0
            self._write("")

    def _write(self, text: str) -> None:
        if text != self.shown:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self.shown = text
