"""Times intsim against ONNX Runtime, in turns in one run, and against the processor's own peak.

    python tools/bench.py [--network NAME]... [--target NAME]... [--threads N]... [--batch N]... [--rounds N]
                          [--taps] [--memory] [--forms] [--torch] [--reference] [--scaling] [--models DIR] [--json]

Target `onnxruntime` runs the file that ONNX Runtime runs: QDQ, u8, weights per channel, its fastest form; every code
is compared first. Target `diffquant` runs what `intsim quantize` makes of the same network, checked with the spec; its
peer is ONNX Runtime on that file or on its own fastest form, whichever takes less time. A wrong result is not timed.

A turn in which other processes took the cores is not counted; with fewer threads than cores, the cores with the least
load are used. Medians are compared; the best times tell what a quiet machine would show.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import onnx.version_converter
from rich.console import Console
from rich.table import Table

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # `tests` is a package beside `tools`, not an installed one

import intsim
from intsim.benchmark import (
    Timing,
    count_macs,
    interleave,
    intsim_call,
    peak_call,
    peak_memory,
    pinned,
)
from intsim.comparison.ort_session import deployed_session, run_session
from intsim.fakequant.twin import TorchTwin
from tests.models.networks import BENCHMARKED
from tools.bench_check import check_onnxruntime, check_spec
from tools.bench_networks import BEST, DIFFQUANT, OTHERS, WHOLE_MAP, model_file, resized

SCHEMA_VERSION = 1
ONNXRUNTIME = "onnxruntime"
TARGETS = (DIFFQUANT, ONNXRUNTIME)
TAPS = ("extremes", "saturation", "histogram")
PEAK = "peak"
USERS_CHOICES = ("torch", "reference")
"""What users run today to see quantized codes."""

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIZES = (32, 64, 96, 128, 160, 224, 320, 448)
TOLERANCE = 0.15
"""How far time may grow from the MAC count's growth and still be called linear."""

SLOW_ROUNDS = 3
"""Turns of PyTorch, which takes seconds a call."""

PIPE_WIDTH = 200

Array = np.ndarray[Any, Any]
Call = Callable[[], Any]
Cell = dict[str, Any]
Rows = list[tuple[Cell, tuple[str, ...]]]


@dataclass(frozen=True)
class Workload:
    """A network with its files by form and its checked models by target."""

    network: str
    files: Mapping[str, Path]
    models: Mapping[str, intsim.Model]
    macs: int

    def images(self, batch: int) -> Array:
        """Photographs f32[batch, 3, size, size], repeated."""
        images = BENCHMARKED[self.network].images()
        return np.ascontiguousarray(images[np.arange(batch) % len(images)])

    def onnxruntime_forms(self, target: str) -> list[str]:
        """The forms among which a target's peer is: the very same file, or the faster of two."""
        return [BEST] if target == ONNXRUNTIME else [form for form in self.files if form in (DIFFQUANT, BEST)]


@dataclass(frozen=True)
class Setting:
    """What is timed of a case: threads and batch, and which of the optional parts."""

    threads: int
    batch: int
    rounds: int
    taps: bool
    memory: bool
    torch: bool
    reference: bool


@click.command(help=__doc__)
@click.option("--network", "networks", multiple=True, type=click.Choice([*BENCHMARKED]), default=[*BENCHMARKED])
@click.option("--target", "targets", multiple=True, type=click.Choice(TARGETS), default=TARGETS)
@click.option("--threads", multiple=True, type=click.IntRange(1), default=[1, 2], show_default=True)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(1), default=[1, 16], show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True, help="quiet turns of each")
@click.option("--taps", is_flag=True, help="also what each tap on every tensor costs")
@click.option("--memory", is_flag=True, help="also the peak memory of each side, in a process of its own")
@click.option("--forms", is_flag=True, help="also ONNX Runtime on other forms: per tensor, s8, QOperator")
@click.option("--torch", is_flag=True, help="also PyTorch's eager fake-quant")
@click.option("--reference", is_flag=True, help="also onnx's ReferenceEvaluator, at batch 1, on all cores")
@click.option("--scaling", is_flag=True, help="instead: time over batch and image size, against the MAC count's growth")
@click.option("--models", type=click.Path(file_okay=False, path_type=Path), help="where the quantized models are kept")
@click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout; the tables go to stderr")
def main(
    networks: tuple[str, ...],
    targets: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    rounds: int,
    taps: bool,
    memory: bool,
    forms: bool,
    torch: bool,
    reference: bool,
    scaling: bool,
    models: Path | None,
    as_json: bool,
) -> None:
    """Time what was asked for; print the tables, and the document."""
    folder = models or model_folder()
    cells: list[Cell] = []
    growth: list[Cell] = []
    for network in networks:
        case = open_case(network, targets, OTHERS if forms else (), folder)
        for count in threads:
            if scaling:
                growth += [row for target in targets for row in scaled(case, target, count, rounds)]
                continue
            for batch in batches:
                cells += timed(case, Setting(count, batch, rounds, taps, memory, torch, reference))
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "versions": {name: version(name) for name in ("intsim", "onnxruntime", "numpy", "numba", "onnx", "torch")},
        "cells": cells,
        "geometric_means": means(cells),
        "scaling": growth,
    }
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for table in tables(cells, growth):
        console.print(table)
    for target, mean in document["geometric_means"].items():
        console.print(
            f"{target}: {mean:.2f}x as fast as ONNX Runtime, the geometric mean of its cells", highlight=False
        )
    console.print(f"{document['date']}; {document['machine']}; {document['versions']}", highlight=False, markup=False)
    if as_json:
        click.echo(json.dumps(document, indent=1))


def open_case(network: str, targets: Sequence[str], others: Sequence[str], folder: Path) -> Workload:
    """The files, made if need be, and the models, checked. Errors: SystemExit where a code is wrong."""
    wanted = [*([DIFFQUANT] if DIFFQUANT in targets else []), BEST, *others]
    files = {form: model_file(network, form, folder, say) for form in wanted}
    models = {}
    for target in targets:
        model = intsim.load(files[DIFFQUANT if target == DIFFQUANT else BEST], target=target)
        x = BENCHMARKED[network].images()
        found = check_spec(model, x[:1]) if target == DIFFQUANT else check_onnxruntime(model, x[:2])
        say(f"{network}, target {target}: {found}")
        models[target] = model
    macs = count_macs(next(iter(models.values())))
    assert macs, "the networks' shapes are known"
    return Workload(network, files, models, macs)


def timed(case: Workload, setting: Setting) -> Iterator[Cell]:
    """A cell for each target, all of them timed in turns."""
    say(f"{case.network}: {setting.threads} threads, batch {setting.batch}")
    x = case.images(setting.batch)
    with pinned(setting.threads) as cores:
        calls, work = competitors(case, setting, x)
        timings = interleave(calls, cores, rounds=setting.rounds)
        if setting.torch:
            timings |= interleave({"torch": torch_on(case, setting, x)}, cores, rounds=min(setting.rounds, SLOW_ROUNDS))
    if setting.reference and setting.batch == 1:
        timings |= interleave({"reference": reference_on(case, x)}, os.sched_getaffinity(0), rounds=1)
    peak = None if work is None else work / timings[PEAK].best / 1e9
    for target in case.models:
        made = cell(case, setting, target, timings, peak)
        say(f"  {target}: {_pair(made, 'intsim')} ms, ONNX Runtime {_pair(made, 'onnxruntime')}, {made['ratio']:.2f}x")
        yield made


def competitors(case: Workload, setting: Setting, x: Array) -> tuple[dict[str, Call], int | None]:
    """Name -> a call that computes the batch once; and the MACs of the peak's call, None without VNNI."""
    calls: dict[str, Call] = {}
    for target, model in case.models.items():
        inputs = {model.graph.inputs[0]: x}
        calls[f"intsim {target}"] = intsim_call(model, inputs, setting.threads)
        for tap in TAPS if setting.taps else ():
            calls[f"{tap} {target}"] = intsim_call(model, inputs, setting.threads, [tap])
    for form, file in case.files.items():
        calls[f"{ONNXRUNTIME} {form}"] = onnxruntime_on(file, x, setting.threads)
    peak = peak_call(setting.threads)
    if peak is None:
        return calls, None
    calls[PEAK], work = peak
    return calls, work


def onnxruntime_on(file: Path, x: Array, threads: int) -> Call:
    """A call that runs the file in ONNX Runtime, as a user's session does."""
    session = deployed_session(file, threads=threads)
    feeds = {session.get_inputs()[0].name: x}
    return lambda: run_session(session, feeds)


def torch_on(case: Workload, setting: Setting, x: Array) -> Call:
    """A forward pass of PyTorch's eager fake-quant of ONNX Runtime's best file; its weights are quantized before."""
    graph = intsim.load(case.files[BEST]).graph
    twin, feeds = TorchTwin(graph, setting.threads), {graph.inputs[0]: x}
    return lambda: twin.forward(feeds)


def reference_on(case: Workload, x: Array) -> Call:
    """onnx's ReferenceEvaluator on ONNX Runtime's best file; it has NumPy's threads, whatever the setting says."""
    from onnx.reference import ReferenceEvaluator

    # the evaluator has the quantization ops from opset 19 on
    evaluator = ReferenceEvaluator(onnx.version_converter.convert_version(onnx.load(case.files[BEST]), 21))
    return lambda: evaluator.run(None, {evaluator.input_names[0]: x})


def cell(
    case: Workload,
    setting: Setting,
    target: str,
    timings: Mapping[str, Timing],
    peak: float | None,
) -> Cell:
    """The numbers of one network, target, thread count and batch. ms: medians, an image."""
    ours = timings[f"intsim {target}"]
    forms = {form: timings[f"{ONNXRUNTIME} {form}"] for form in case.files}
    form = min(case.onnxruntime_forms(target), key=lambda f: forms[f].median)
    peer = forms[form]
    work = case.macs * setting.batch / 1e9

    def ms(seconds: float) -> float:
        return round(1000 * seconds / setting.batch, 5)

    def share(seconds: float) -> float | None:
        return None if peak is None else round(work / seconds / peak, 4)

    made: Cell = {
        "network": case.network,
        "target": target,
        "threads": setting.threads,
        "batch": setting.batch,
        "intsim_ms": ms(ours.median),
        "intsim_best_ms": ms(ours.best),
        "onnxruntime_ms": ms(peer.median),
        "onnxruntime_best_ms": ms(peer.best),
        "onnxruntime_form": form,
        "ratio": round(peer.median / ours.median, 4),
        "best_ratio": round(peer.best / ours.best, 4),
        "macs": case.macs,
        "gmacs": round(work / ours.median, 2),
        "peak_gmacs": None if peak is None else round(peak, 1),
        "share_of_peak": share(ours.median),
        "best_share_of_peak": share(ours.best),
        "onnxruntime_share_of_peak": share(peer.median),
        "onnxruntime_best_share_of_peak": share(peer.best),
        "quiet": ours.quiet and peer.quiet,
        "turns": min(ours.turns, peer.turns),
        "forms": {f: {"ms": ms(t.median), "best_ms": ms(t.best)} for f, t in forms.items()},
    }
    if setting.taps:
        made["taps"] = {tap: round(timings[f"{tap} {target}"].median / ours.median - 1, 4) for tap in TAPS}
    for name in USERS_CHOICES:
        if name in timings:
            made[f"{name}_ms"] = ms(timings[name].median)
            made[f"{name}_best_ms"] = ms(timings[name].best)
    if setting.memory:
        own = case.files[DIFFQUANT if target == DIFFQUANT else BEST]
        made["memory"] = memory(own, case.files[form], target, setting)
    return made


def memory(own: Path, peers: Path, target: str, setting: Setting) -> Cell:
    """MiB of each side's process: at the most, and what the model added; and the ratios of both."""
    ours = peak_memory("intsim", own, target, setting.threads, setting.batch)
    theirs = peak_memory(ONNXRUNTIME, peers, target, setting.threads, setting.batch)
    return {
        "intsim_mib": ours.peak_mib,
        "intsim_model_mib": round(ours.model_mib, 1),
        "onnxruntime_mib": theirs.peak_mib,
        "onnxruntime_model_mib": round(theirs.model_mib, 1),
        "ratio": round(ours.peak_mib / theirs.peak_mib, 3),
        "model_ratio": round(ours.model_mib / max(theirs.model_mib, 0.1), 3),
    }


def scaled(case: Workload, target: str, threads: int, rounds: int) -> Iterator[Cell]:
    """Rows: time over batch, and over image size where the network takes any, in turns.

    growth: (time / time of the first or usual one) / (MACs / its MACs); 1 is linear.
    """
    usual = BENCHMARKED[case.network].size
    yield from _grown(case, target, threads, rounds, "batch", dict.fromkeys(BATCHES, case.models[target]), 1)
    if case.network in WHOLE_MAP:
        say(f"{case.network} takes images of {usual} x {usual} only")
        return
    file = case.files[DIFFQUANT if target == DIFFQUANT else BEST]
    models = {size: intsim.load(resized(file, size), target=target) for size in SIZES}
    yield from _grown(case, target, threads, rounds, "size", models, usual)


def _grown(
    case: Workload,
    target: str,
    threads: int,
    rounds: int,
    over: str,
    models: Mapping[int, intsim.Model],
    first: int,
) -> Iterator[Cell]:
    say(f"{case.network}, target {target}, {threads} threads: over {over}")
    with pinned(threads) as cores:
        calls = {}
        for value, model in models.items():
            x = case.images(value) if over == "batch" else BENCHMARKED[case.network].images(value)[:1]
            calls[str(value)] = intsim_call(model, {model.graph.inputs[0]: x}, threads)
        timings = interleave(calls, cores, rounds=rounds)
    macs = {value: (count_macs(model) or 0) * (value if over == "batch" else 1) for value, model in models.items()}
    for value in models:
        seconds = timings[str(value)]
        growth = (seconds.median / timings[str(first)].median) / (macs[value] / macs[first])
        yield {
            "network": case.network,
            "target": target,
            "threads": threads,
            "over": over,
            "value": value,
            "reference": first,
            "macs": macs[value],
            "ms": round(1000 * seconds.median, 4),
            "best_ms": round(1000 * seconds.best, 4),
            "gmacs": round(macs[value] / seconds.median / 1e9, 2),
            "growth": round(growth, 4),
            "linear": abs(growth - 1) <= TOLERANCE,
            "quiet": seconds.quiet,
        }


def means(cells: Sequence[Cell]) -> dict[str, float]:
    """Target -> the geometric mean of its cells' ratios."""
    ratios = {target: [c["ratio"] for c in cells if c["target"] == target] for target in TARGETS}
    return {target: round(statistics.geometric_mean(values), 4) for target, values in ratios.items() if values}


def tables(cells: Sequence[Cell], growth: Sequence[Cell]) -> Iterator[Table]:
    """What people read: the cells; the parts that were asked for; the scaling."""
    title = "Milliseconds an image, median (best); ~: no turn was quiet"
    if cells:
        headers: tuple[str, ...] = ("intsim", "ONNX Runtime", "its form", "ratio", "best", "GMAC/s", "of peak", "best")
        yield _table(title, (*headers, "theirs"), [(c, _cell_row(c)) for c in cells])
    forms = list(dict.fromkeys(form for c in cells for form in c["forms"]))
    if len(forms) > 1:
        shown = [(c, _form_row(c, forms)) for c in cells if c["target"] == cells[0]["target"]]
        yield _table(f"ONNX Runtime on each form: {title}", forms, shown)
    slow: Rows = [(c, (_pair(c, "intsim"), *_slow(c, "torch"), *_slow(c, "reference"))) for c in cells if _has_slow(c)]
    if slow:
        headers = ("intsim", "PyTorch fake-quant", "ratio", "ReferenceEvaluator", "ratio")
        yield _table("What users run today, milliseconds an image", headers, slow)
    taps: Rows = [(c, tuple(f"{c['taps'][tap]:+.1%}" for tap in TAPS)) for c in cells if "taps" in c]
    if taps:
        yield _table("What a tap on every tensor adds to the time", TAPS, taps)
    held: Rows = [(c, _memory_row(c["memory"])) for c in cells if "memory" in c]
    if held:
        headers = ("intsim", "ONNX Runtime", "ratio", "intsim's model", "ONNX Runtime's", "ratio")
        yield _table("Peak memory of the process, MiB, and without its libraries", headers, held)
    if growth:
        yield _growth_table(growth)


def _table(title: str, headers: Sequence[str], rows: Rows) -> Table:
    shown = Table(title=title)
    for header in ("network", "target"):
        shown.add_column(header, no_wrap=True)
    for header in ("threads", "batch", *headers):
        shown.add_column(header, justify="right", no_wrap=header != "its form")
    for key, row in rows:
        shown.add_row(key["network"], key["target"], str(key["threads"]), str(key["batch"]), *row)
    return shown


def _cell_row(c: Cell) -> tuple[str, ...]:
    shares = (c["share_of_peak"], c["best_share_of_peak"], c["onnxruntime_share_of_peak"])
    return (
        ("" if c["quiet"] else "~") + _pair(c, "intsim"),
        _pair(c, "onnxruntime"),
        c["onnxruntime_form"],
        f"{c['ratio']:.2f}x",
        f"{c['best_ratio']:.2f}x",
        f"{c['gmacs']:.4g}",
        *("" if share is None else f"{share:.0%}" for share in shares),
    )


def _form_row(c: Cell, forms: Sequence[str]) -> tuple[str, ...]:
    found = (c["forms"].get(form) for form in forms)
    return tuple("" if f is None else f"{f['ms']:.4g} ({f['best_ms']:.4g})" for f in found)


def _pair(c: Cell, name: str) -> str:
    return f"{c[f'{name}_ms']:.4g} ({c[f'{name}_best_ms']:.4g})"


def _has_slow(c: Cell) -> bool:
    return any(f"{name}_ms" in c for name in USERS_CHOICES)


def _slow(c: Cell, name: str) -> tuple[str, str]:
    return (_pair(c, name), f"{c[f'{name}_ms'] / c['intsim_ms']:.1f}x") if f"{name}_ms" in c else ("", "")


def _memory_row(m: Cell) -> tuple[str, ...]:
    keys = ("intsim_mib", "onnxruntime_mib", "ratio", "intsim_model_mib", "onnxruntime_model_mib", "model_ratio")
    return tuple(f"{m[key]:.2f}x" if key.endswith("ratio") else f"{m[key]:.0f}" for key in keys)


def _growth_table(growth: Sequence[Cell]) -> Table:
    shown = Table(title=f"Time against the MAC count's growth; 1: linear, *: not to within {TOLERANCE:.0%}")
    for header in ("network", "target", "threads", "over", "value", "ms (best)", "GMAC", "GMAC/s", "growth"):
        shown.add_column(header, justify="left" if header in ("network", "target", "over") else "right", no_wrap=True)
    for row in growth:
        shown.add_row(
            row["network"],
            row["target"],
            str(row["threads"]),
            row["over"],
            str(row["value"]),
            f"{'' if row['quiet'] else '~'}{row['ms']:.4g} ({row['best_ms']:.4g})",
            f"{row['macs'] / 1e9:.4g}",
            f"{row['gmacs']:.4g}",
            f"{row['growth']:.3f}{'' if row['linear'] else '*'}",
        )
    return shown


def machine() -> str:
    """The processor, as the system and LLVM call it, and its cores."""
    import llvmlite.binding

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0))
    return f"{model} ({llvmlite.binding.get_host_cpu_name()}), {cores} cores, Python {platform.python_version()}"


def model_folder() -> Path:
    """The user's cache folder for the quantized models."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".cache"
    return base / "intsim" / "benchmark-models"


def say(text: str) -> None:
    """What is being done, on stderr, with the time since the start."""
    click.echo(f"[{time.monotonic() - START:6.0f} s] {text}", err=True)


START = time.monotonic()

if __name__ == "__main__":
    main()
