"""A writer is killed before each of its steps in turn: python -m tests.files.killed KIND FOLDER prints the steps.

Run in a process of its own, which has no threads and so can fork. KIND: folder, renames (no exchange) or file. Ends
with an error where the output is neither the old one nor the new one, or where the next writer leaves anything beside
it.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from intsim.files import swap, write_file
from intsim.target import TARGETS
from intsim.vectors import Recorded, read_manifest, write_manifest

SYSTEM = [(os, name) for name in ("open", "mkdir", "chmod", "rename", "replace", "unlink", "rmdir", "scandir", "close")]
STEPS: list[tuple[Any, str]] = [*SYSTEM, (io, "open"), (swap, "exchange")]
"""What the system is asked for while something is written."""


def write(kind: str, out: Path, number: int) -> None:
    """Write output number 1, 2, …"""
    if kind == "file":
        write_file(out, str(number).encode() * 100)
        return
    tensors = {f"t{i}": Recorded(np.full(9, number), None) for i in range(1 + number % 2)}
    write_manifest(out, tensors, model=str(number), digest="", target=TARGETS["diffquant"], images=1)


def read(kind: str, out: Path) -> int:
    """The number of the output at the path. Errors: any, where it is not whole."""
    if kind == "file":
        number = int(out.read_bytes()[:1])
        assert out.read_bytes() == str(number).encode() * 100
        return number
    manifest = read_manifest(out)
    number = int(manifest.model)
    assert len(manifest.tensors) == 1 + number % 2 == len(list(out.iterdir())) - 1
    assert all((manifest.read(name) == number).all() for name in manifest.tensors)
    return number


def killed_before(step: int, write: Callable[[], None]) -> str:
    """The name of the step before which the writer was killed, "" where it came to its end."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        done = 0

        def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def counting(*arguments: Any, **named: Any) -> Any:
                nonlocal done
                if done == step:
                    os.write(writer, name.encode())
                    os.kill(os.getpid(), signal.SIGKILL)
                done += 1
                return call(*arguments, **named)

            return counting

        for module, name in STEPS:
            setattr(module, name, counted(name, getattr(module, name)))
        try:
            write()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        name = stream.read()
    os.waitpid(child, 0)
    return name


def main(kind: str, folder: Path) -> None:
    """Kill before the first step, the second one, …, until the writer comes to its end."""
    out = folder / "out"
    if kind == "renames":
        swap.exchange = lambda a, b: False
    write(kind, out, 1)
    old = 1
    steps: list[str] = []
    while True:
        new = old + 1
        name = killed_before(len(steps), lambda number=new: write(kind, out, number))  # type: ignore[misc]
        found = read(kind, out)
        assert found in (old, new), f"{found} after a kill before {name}, step {len(steps)}"
        if not name:
            assert found == new
            break
        steps.append(f"{name}:{'old' if found == old else 'new'}")
        old = 1 + new % 7
        write(kind, out, old)
        assert read(kind, out) == old and os.listdir(folder) == ["out"], f"{os.listdir(folder)} after {steps[-1]}"
    print(*steps)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
