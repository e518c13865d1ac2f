"""Options that several commands share, and how their values become arrays, targets and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np

from intsim.errors import UnusableInput

F = TypeVar("F", bound=Callable[..., Any])
SCHEMA_VERSION = 1
"""The version of the JSON documents on stdout."""

model_argument = click.argument("model", type=click.Path(dir_okay=False))
target_option = click.option(
    "--target", default="auto", show_default=True, help="A named target, or the path of a .toml file."
)
input_option = click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="[NAME=]X.npy",
    help="Reals (floating dtype) or codes (integer dtype), batch first; .npz with x (and y: labels) also works.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, help="Threads; default: the processor's cores."
)


def read_inputs(inputs: tuple[str, ...], names: tuple[str, ...]) -> tuple[dict[str, np.ndarray[Any, Any]], Any]:
    """The arrays by input name, and the labels (or None), from --input values.

    Errors: UnusableInput for a missing or repeated input, or a file that holds no such array.
    """
    from intsim import files

    arrays: dict[str, np.ndarray[Any, Any]] = {}
    labels = None
    for text in inputs:
        name, equals, path = text.partition("=")
        if not equals or (name not in names and Path(text).exists()):
            name, path = (names[0] if names else ""), text
        if name not in names:
            raise UnusableInput(f"--input {text}: the model has no input {name!r}; it has {', '.join(names)}")
        if name in arrays:
            raise UnusableInput(f"--input {text}: input {name!r} is given twice")
        if path.endswith(".npz"):
            members = files.read_arrays(path)
            if "x" not in members:
                raise UnusableInput(f"{path}: must hold an array x (and y for labels), not {sorted(members)}")
            arrays[name], labels = members["x"], members.get("y", labels)
        else:
            arrays[name] = files.read_array(path)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise UnusableInput(f"no array for input {missing[0]!r}; add --input {missing[0]}=X.npy")
    if labels is not None:
        count = len(next(iter(arrays.values())))
        if labels.shape != (count,) or labels.dtype.kind not in "iu":
            raise UnusableInput(f"labels y must be integers of shape ({count},), not {labels.dtype} {labels.shape}")
    return arrays, labels


def print_json(document: Mapping[str, Any]) -> None:
    """The document on stdout, with the schema's version."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}, allow_nan=False))


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A callback (done, total) that draws a bar on a terminal's stderr when the work takes more than a second."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task, started, shown = bar.add_task(description), time.monotonic(), False

    def advance(done: int, total: int) -> None:
        nonlocal shown
        if not shown and time.monotonic() - started > 1:
            bar.start()
            shown = True
        bar.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if shown:
            bar.stop()


def show(*renderables: Any) -> None:
    """Print rich tables or text on stdout; on a pipe, plain and wide enough not to fold."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for renderable in renderables:
        console.print(renderable, highlight=False)
