"""Feed intsim files with something random wrong, and see that it refuses them in one line or runs them exactly.

    python tools/fuzz.py [--seconds 60] [--seed 0] [--kind graph]... [--keep DIR] [--json]

Kinds: `bytes` (model files with damaged bytes), `graph` (models that parse, with fields that make no sense), `array`
(.npy and .npz), `target` (TOML), `manifest` (folders of recorded codes), `preprocess` (TOML), `image` (folders of
images). A model that is accepted is run by the kernels and by the spec, which must agree. The cases run in a process of
their own, with limits of time and memory. Bad outcomes: an exception that is not intsim's, a mismatch, a message of
several lines or of more than 1,000 characters, a warning of a library, a crash, a hang. Exits with 1 on any; --keep
writes their files.
"""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SCHEMA_VERSION = 1

MEMORY = 8 << 30
"""Bytes of address space that a case may take."""

LIMIT = 60.0
"""Seconds that a case may take: kernels that it needs may have to be compiled."""

LONGEST = 1000
"""Characters of an error's message."""

IMAGES = 2
"""Images that an accepted model is run on."""

LARGEST = 1 << 20
"""Elements of an input that are made; a model that wants more is not run."""

Fuzz = Callable[[random.Random, Path], str]
"""Writes its file into the folder, and says `refused`, `accepted` or `equal`; all else is raised."""


def damaged_bytes(rng: random.Random, folder: Path) -> str:
    """A model file with damaged bytes."""
    from tests.mutations import NETWORKS, mutated

    return _load_and_run(mutated(rng.choice(NETWORKS)().SerializeToString(), rng.randrange(1 << 30)), rng, folder)


def senseless_graph(rng: random.Random, folder: Path) -> str:
    """A model that parses, with fields that make no sense."""
    from tests.mutations import NETWORKS, changed

    return _load_and_run(changed(rng.choice(NETWORKS), rng.randrange(1 << 30)).SerializeToString(), rng, folder)


def _load_and_run(data: bytes, rng: random.Random, folder: Path) -> str:
    """Load it; where that works run it with the kernels and with the spec. Raises AssertionError where they differ."""
    import intsim

    path = folder / "model.onnx"
    path.write_bytes(data)
    model = intsim.load(path, target=rng.choice(["auto", "diffquant", "onnxruntime", "tflite"]))
    random_codes = np.random.default_rng(rng.randrange(1 << 30))
    inputs = {}
    for name in model.graph.inputs:
        value = model.graph.values[name]
        shape = [IMAGES if length is None else length for length in value.shape]
        if math.prod(shape) > LARGEST:
            return "accepted"
        if value.format is None:
            inputs[name] = random_codes.normal(size=shape).astype(np.float32)
        else:
            low, high = value.format.low, value.format.high
            inputs[name] = random_codes.integers(low, high + 1, shape).astype(value.format.dtype)
    kernels, spec = (model.run(inputs, taps=["codes"], engine=engine) for engine in ("kernels", "spec"))
    for name, tap in spec.taps.items():
        ours, theirs = kernels.taps[name].codes, tap.codes
        assert ours is not None and theirs is not None, "the taps ask for them"
        assert np.array_equal(ours, theirs), f"kernels and spec differ in {name!r}"
    return "equal"


def damaged_array(rng: random.Random, folder: Path) -> str:
    """An .npy or .npz file with damaged bytes."""
    from intsim.files import read_array, read_arrays
    from tests.mutations import mutated

    x, y = np.arange(96, dtype=np.float32).reshape(2, 3, 4, 4), np.arange(2)
    buffer = io.BytesIO()
    kind = rng.randrange(3)
    if kind == 0:
        np.save(buffer, x)
        path = folder / "x.npy"
        path.write_bytes(mutated(buffer.getvalue(), rng.randrange(1 << 30)))
        read_array(path).sum()
        return "accepted"
    if kind == 1:
        np.savez(buffer, x=x, y=y)
    else:
        np.savez_compressed(buffer, x=x, y=y)
    path = folder / "x.npz"
    path.write_bytes(mutated(buffer.getvalue(), rng.randrange(1 << 30)))
    for array in read_arrays(path).values():
        array.sum()
    return "accepted"


def damaged_target(rng: random.Random, folder: Path) -> str:
    """A target's TOML with a value of another kind, or with damaged bytes."""
    from intsim.target import TARGETS, find_target

    text = TARGETS[rng.choice(list(TARGETS))].to_toml()
    path = folder / "target.toml"
    path.write_bytes(_damaged_text(text, rng))
    find_target(path)
    return "accepted"


def damaged_preprocess(rng: random.Random, folder: Path) -> str:
    """A preprocessing's TOML with a value of another kind, or with damaged bytes."""
    from intsim.images.preprocess import find_preprocess

    text = """preprocess_version = 1
channels = "BGR"
resize = { shorter_side = 16, interpolation = "bilinear" }
crop = { height = 8, width = 8 }
scale = 255
mean = [0.4, 0.5, 0.6]
std = [1, 2, 0.5]
layout = "NCHW"
"""
    path = folder / "preprocess.toml"
    path.write_bytes(_damaged_text(text, rng))
    find_preprocess(path, {}, folder)
    return "accepted"


def damaged_manifest(rng: random.Random, folder: Path) -> str:
    """A folder of recorded codes whose manifest, or one of whose files, is damaged."""
    from intsim.formats import Format
    from intsim.target import TARGETS
    from intsim.vectors import Recorded, read_manifest, write_manifest
    from tests.mutations import mutated

    run = folder / "run"
    tensors = {name: Recorded(np.arange(24, dtype=np.int8).reshape(2, 12), Format(8)) for name in ("a", "b/c", "ä")}
    write_manifest(run, tensors, model="m", digest="0" * 64, target=TARGETS["tflite"], images=2)
    path = rng.choice(sorted(run.iterdir()))
    if path.suffix == ".json":
        path.write_bytes(_damaged_json(path.read_text(), rng))
    else:
        path.write_bytes(mutated(path.read_bytes(), rng.randrange(1 << 30)))
    manifest = read_manifest(run)
    for name in manifest.tensors:
        manifest.read(name)
    return "accepted"


def damaged_image(rng: random.Random, folder: Path) -> str:
    """A folder of images of which one is damaged."""
    from PIL import Image

    from intsim.images import Preprocess, read_folder
    from tests.mutations import mutated

    for name in ("cat/a", "dog/b"):
        path = folder / "images" / f"{name}.{rng.choice(['png', 'jpg', 'bmp', 'gif', 'webp', 'tiff'])}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(rng.randrange(1 << 30)).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        if rng.random() < 0.7:
            path.write_bytes(mutated(path.read_bytes(), rng.randrange(1 << 30)))
    read_folder(folder / "images", Preprocess(scale=(1.0, 1.0, 1.0)))
    return "accepted"


STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 5000, "\x1b[31m", "日本"),
    *([], {}, [[]], [1, "a"], {"a": {"a": {"a": {}}}}),
)
"""Values that no field expects."""


def _damaged_text(text: str, rng: random.Random) -> bytes:
    """A TOML text of which one line has another value, is doubled or is gone, or whose bytes are damaged."""
    from tests.mutations import mutated

    lines = text.splitlines()
    at = rng.randrange(len(lines))
    choice = rng.randrange(4)
    if choice == 0:
        return mutated(text.encode(), rng.randrange(1 << 30))
    if choice == 1:
        lines.insert(at, lines[at])
    elif choice == 2:
        del lines[at]
    else:
        strange = ("[" * 3000, "-1", "1e999", "nan", "9" * 500, f'"{"y" * 5000}"', "{a = 1}", "[]", "true", "07:32:00")
        lines[at] = f"{lines[at].partition('=')[0]}= {rng.choice(strange)}"
    return "\n".join(lines).encode()


def _damaged_json(text: str, rng: random.Random) -> bytes:
    """A JSON text with one value replaced or removed, or whose bytes are damaged."""
    from tests.mutations import mutated

    choice = rng.random()
    if choice < 0.3:
        return mutated(text.encode(), rng.randrange(1 << 30))
    if choice < 0.35:
        return b"[" * 100_000
    data: Any = json.loads(text)
    where: Any = data
    while True:
        keys: list[Any] = list(where) if isinstance(where, dict) else list(range(len(where)))
        if not keys:
            return json.dumps(data).encode()
        key = rng.choice(keys)
        inner = where[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.3:
            break
        where = inner
    if rng.random() < 0.2:
        del where[key]
    else:
        where[key] = rng.choice(STRANGE)
    return json.dumps(data).encode()


KINDS: Mapping[str, Fuzz] = {
    "bytes": damaged_bytes,
    "graph": senseless_graph,
    "array": damaged_array,
    "target": damaged_target,
    "manifest": damaged_manifest,
    "preprocess": damaged_preprocess,
    "image": damaged_image,
}


def outcome(kind: str, seed: int, folder: Path) -> str:
    """What a case comes to: `equal`, `accepted`, `refused`, or what is bad about it in words."""
    from intsim.errors import IntsimError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = KINDS[kind](random.Random(seed), folder)
        except IntsimError as error:
            message = str(error)
            if "\n" in message or len(message) > LONGEST:
                return f"message of {len(message)} characters or several lines: {message[:200]!r}"
            found = "refused"
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:200]}"
    ours = [w for w in caught if "intsim" in str(w.filename)]
    return found if not ours else f"warning: {ours[0].message}"


def _serve(pipe: Connection) -> None:
    """In a process of its own: carry out the cases that come through the pipe."""
    sys.path.insert(0, str(ROOT))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while True:
        kind, seed, folder = pipe.recv()
        pipe.send(outcome(kind, seed, Path(folder)))


class Worker:
    """A process that carries out cases; where one ends or hangs it, the next case gets a new one."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def run(self, kind: str, seed: int, folder: Path) -> str:
        """The outcome of a case."""
        try:
            self._pipe.send((kind, seed, str(folder)))
            if self._pipe.poll(LIMIT):
                found: str = self._pipe.recv()
                return found
            found = f"hang: no result in {LIMIT:.0f} s"
        except (EOFError, OSError):
            self._process.join(5)
            found = f"crash: exit code {self._process.exitcode}"
        self.stop()
        self._start()
        return found

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


GOOD = ("equal", "accepted", "refused")


@click.command(help=__doc__)
@click.option("--seconds", type=click.FloatRange(1), default=60.0, show_default=True, help="how long")
@click.option("--cases", type=click.IntRange(1), help="how many cases at most")
@click.option("--seed", type=int, default=0, show_default=True, help="of the first case; the next has the next one")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(KINDS)), help="only this kind; may be repeated")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="where files with a bad outcome go")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout")
def main(
    seconds: float, cases: int | None, seed: int, kinds: tuple[str, ...], keep: Path | None, as_json: bool
) -> None:
    """Run cases until the time is over, print counts by kind, and exit with 0 or 1."""
    chosen = kinds or tuple(KINDS)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in chosen}
    bad: list[dict[str, Any]] = []
    worker, ends = Worker(), time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends and (cases is None or number < cases):
        kind = chosen[number % len(chosen)]
        with tempfile.TemporaryDirectory() as scratch:
            found = worker.run(kind, seed + number, Path(scratch))
            counts[kind][found if found in GOOD else "bad"] += 1
            if found not in GOOD:
                bad.append({"kind": kind, "seed": seed + number, "outcome": found})
                click.echo(f"{kind} {seed + number}: {found}", err=True)
                if keep is not None:
                    shutil.copytree(scratch, keep / f"{kind}-{seed + number}", dirs_exist_ok=True)
        number += 1
    worker.stop()
    if as_json:
        document = {"schema_version": SCHEMA_VERSION, "cases": number, "counts": counts, "bad": bad}
        click.echo(json.dumps(document, indent=1))
    else:
        for kind, count in counts.items():
            click.echo(f"{kind:10} " + ", ".join(f"{count[key]} {key}" for key in (*GOOD, "bad")))
        click.echo(f"{number} cases, {len(bad)} bad")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
