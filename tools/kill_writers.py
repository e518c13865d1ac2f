"""Kill intsim at random moments while it writes, and see that the output is whole, the old one or the new one.

    python tools/kill_writers.py [--kills 100] [--seed 0] [--kind run]... [--json]

Kinds: the commands that write, `run`, `quantize`, `histogram` and `compare` (its report); `folder` and `file`, the same
without the network before it, so that most kills hit the writing; `renames`, a folder on a file system that cannot
exchange two paths. Each kill is a SIGKILL of a process that writes again and again. After it the output is read, then
written once more, after which nothing but the output may be there. Exits with 1 on any bad outcome.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from intsim.files import read_arrays, swap, write_file
from intsim.target import TARGETS
from intsim.vectors import Recorded, read_manifest, write_manifest

SCHEMA_VERSION = 1

MOST_TENSORS = 6

Write = Callable[[], None]
"""Writes the output; each call may write another one."""

Check = Callable[[], None]
"""Reads the output. Errors: any, where it is not whole."""


def folder(out: Path) -> tuple[Write, Check]:
    """A folder of tensors that all hold one number, as many as it says."""
    rng = random.Random(os.getpid())

    def write() -> None:
        number = rng.randrange(1000)
        count = 1 + number % MOST_TENSORS
        tensors = {f"t{i}": Recorded(np.full(2000, number), None) for i in range(count)}
        write_manifest(out, tensors, model=str(number), digest="", target=TARGETS["diffquant"], images=count)

    def check() -> None:
        manifest = read_manifest(out)
        values = {float(v) for name in manifest.tensors for v in manifest.read(name)}
        if values != {float(manifest.model)} or len(manifest.tensors) != manifest.images:
            raise ValueError(f"{out} mixes two outputs: {values}")

    return write, check


def renames(out: Path) -> tuple[Write, Check]:
    """As `folder`, on a file system that cannot exchange two paths."""
    swap.exchange = lambda a, b: False
    return folder(out)


def file(out: Path) -> tuple[Write, Check]:
    """A file of a million equal bytes."""
    rng = random.Random(os.getpid())

    def write() -> None:
        write_file(out, bytes([rng.randrange(256)]) * 1_000_000)

    def check() -> None:
        content = out.read_bytes()
        if len(content) != 1_000_000 or len(set(content)) != 1:
            raise ValueError(f"{out} mixes two outputs")

    return write, check


def run(out: Path) -> tuple[Write, Check]:
    """`intsim run`, all codes tapped."""

    def check() -> None:
        manifest = read_manifest(out)
        for name in manifest.tensors:
            manifest.read(name)

    return command("run", model(), "--input", images(out), "--tap", "codes", "--output", str(out)), check


def quantize(out: Path) -> tuple[Write, Check]:
    """`intsim quantize` of the shipped float model."""
    from intsim import demo, load

    arguments = (str(demo.float_model()), "--calibration", images(out), "--output", str(out))
    return command("quantize", *arguments), lambda: (load(out), None)[1]


def histogram(out: Path) -> tuple[Write, Check]:
    """`intsim histogram`."""

    def check() -> None:
        members = read_arrays(out)
        if len(members["counts"]) != len(members["bits"]):
            raise ValueError(f"{out} mixes two outputs")

    return command("histogram", model(), "--input", images(out), "--output", str(out)), check


def compare(out: Path) -> tuple[Write, Check]:
    """`intsim compare` with the spec, its report."""

    def check() -> None:
        if not out.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise ValueError(f"{out} is cut off")

    return command("compare", model(), "--input", images(out), "--against", "spec", "--report", str(out)), check


KINDS: dict[str, Callable[[Path], tuple[Write, Check]]] = {
    kind.__name__: kind for kind in (folder, renames, file, run, quantize, histogram, compare)
}


def model() -> str:
    """The shipped quantized model."""
    from intsim import demo

    return str(demo.quantized_model())


def images(out: Path) -> str:
    """A file with a few images for the shipped models."""
    from intsim import demo

    path = out.parent.with_name("x.npy")
    if not path.exists():
        np.save(path, read_arrays(demo.images())["x"][:2].astype(np.float32))
    return str(path)


def command(*arguments: str) -> Write:
    """The command line as a function. Errors: RuntimeError for a failure."""
    from intsim.cli import main as intsim

    def write() -> None:
        try:
            intsim([*arguments, "--json", "--threads", "1"])
        except SystemExit as end:
            if end.code != 0:
                raise RuntimeError(f"{' '.join(arguments)} ended with {end.code}") from end

    return write


def kill_once(out: Path, write: Write, check: Check, moment: float) -> tuple[bool, str]:
    """Kill a writer at that moment (in seconds): whether it left something to clear, and what went wrong or ""."""
    writer = os.fork()
    if writer == 0:
        try:
            while True:
                write()
        finally:
            os._exit(1)
    time.sleep(moment)
    os.kill(writer, signal.SIGKILL)
    _, status = os.waitpid(writer, 0)
    if not os.WIFSIGNALED(status):
        return False, "the writer ended by itself"
    leaves = bool(others(out))
    try:
        check()
        write()
        check()
    except Exception as error:
        return leaves, f"{type(error).__name__}: {error}"
    left = others(out)
    return leaves, f"left: {', '.join(left)}" if left else ""


def others(out: Path) -> list[str]:
    """What is beside the output."""
    return sorted(path.name for path in out.parent.iterdir() if path != out)


def kill_many(kind: str, kills: int, seed: int) -> dict[str, object]:
    """Counts of one kind: kills, how many left something to clear, and the bad outcomes."""
    rng = random.Random(f"{kind} {seed}")
    outcomes: list[tuple[bool, str]] = []
    with tempfile.TemporaryDirectory(prefix="intsim-kill-") as scratch:
        parent = Path(scratch) / "parent"
        parent.mkdir()
        out = parent / "out.onnx"
        write, check = KINDS[kind](out)
        write()  # compiles, and makes the first output
        start = time.perf_counter()
        write()
        once = time.perf_counter() - start
        for _ in range(kills):
            outcomes.append(kill_once(out, write, check, rng.uniform(0, 2 * once + 0.005)))
    bad = [what for _, what in outcomes if what]
    left = sum(leaves for leaves, _ in outcomes)
    return {"kind": kind, "kills": kills, "left_something": left, "seconds_a_write": round(once, 4), "bad": bad}


@click.command()
@click.option("--kills", type=click.IntRange(1), default=100, show_default=True, help="Of each kind.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True, help="These alone; default: all.")
@click.option("--json", "as_json", is_flag=True)
def main(kills: int, seed: int, kinds: tuple[str, ...], as_json: bool) -> None:
    """Kill writers at random moments; each kind in a process of its own."""
    results = []
    for kind in kinds or KINDS:
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            os.write(writer, json.dumps(kill_many(kind, kills, seed)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            text = stream.read()
        os.waitpid(child, 0)
        results.append(json.loads(text) if text else {"kind": kind, "kills": 0, "bad": ["the tool itself failed"]})
        if not as_json:
            print(results[-1])
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, "kinds": results}, indent=1))
    sys.exit(any(result["bad"] for result in results))


if __name__ == "__main__":
    main()
