"""intsim bench: how fast one model runs, beside ONNX Runtime on the same file and the processor's own limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from intsim.cli.arrays import read_inputs, refuse_preprocess
from intsim.cli.options import (
    json_option,
    model_argument,
    preprocess_option,
    print_json,
    target_option,
    threads_option,
    title,
)
from intsim.cli.terminal import heading, note, progress, say, table
from intsim.errors import IntsimError, MissingDependency, UnsupportedOp

if TYPE_CHECKING:
    from intsim.benchmark import Timing
    from intsim.model import Model

Array = np.ndarray[Any, Any]

INTSIM, PEER, PEAK = "intsim", "onnxruntime", "peak"


@click.command("bench")
@model_argument
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]X.npy|DIR",
    help="Images to run, repeated to fill the batch. Default: random codes of the input's format.",
)
@preprocess_option
@target_option
@click.option(
    "--batch", type=click.IntRange(1, 1 << 16), help="Images a run. Default: 1, or the batch that the file fixes."
)
@click.option("--rounds", type=click.IntRange(1, 10_000), default=9, show_default=True, help="Turns of each runtime.")
@threads_option
@json_option
def command(
    model: str,
    inputs: tuple[str, ...],
    preprocess: str | None,
    target: str,
    batch: int | None,
    rounds: int,
    threads: int | None,
    as_json: bool,
) -> int:
    """Milliseconds an image of MODEL: median and best, GMAC/s, share of the processor's 8-bit peak (AVX512-VNNI).

    ONNX Runtime, where it is installed and takes the file, has its turns in between, on the same images. Turns in which
    other processes took the cores are not counted.
    """
    from intsim.benchmark import count_macs, interleave, pinned
    from intsim.model import load

    loaded = load(model, target)
    images = batch or loaded.batch or 1
    arrays = read_images(loaded, inputs, preprocess, images)
    count = threads or len(os.sched_getaffinity(0))
    with pinned(count) as cores, progress("timing") as advance:
        calls, work, missing = prepare_calls(loaded, arrays, count)
        equal = _equal(calls)
        timings = interleave(calls, cores, rounds=rounds, progress=advance)
    macs = count_macs(loaded)
    document = {
        "model": Path(model).name,
        "target": loaded.target.name,
        "threads": count,
        "batch": images,
        "macs": macs,
        **_numbers(timings, macs, images, work),
        "outputs_equal": equal,
        "onnxruntime_missing": missing,
    }
    if as_json:
        print_json(document)
        return 0
    _show(title(model, loaded, target), document, timings)
    return 0


def read_images(model: Model, inputs: tuple[str, ...], preprocess: str | None, images: int) -> dict[str, Array]:
    """The arrays by input name: those of --input repeated to `images` images, or random ones. Errors: UnusableInput."""
    from intsim.benchmark import random_inputs

    if not inputs:
        refuse_preprocess(preprocess)
        return random_inputs(model, images)
    arrays, _ = read_inputs(inputs, model.graph, preprocess)
    model.named_inputs(arrays)  # refuses what does not fit, before it is repeated
    return {name: _repeated(x, images) if x.ndim else x for name, x in arrays.items()}


def prepare_calls(
    model: Model, arrays: Mapping[str, Array], threads: int
) -> tuple[dict[str, Callable[[], Any]], int | None, str | None]:
    """The calls by runtime; the MACs of the peak's call (None without VNNI); why ONNX Runtime has none, if so."""
    from intsim.benchmark import intsim_call, onnxruntime_call, peak_call

    calls: dict[str, Callable[[], Any]] = {INTSIM: intsim_call(model, arrays, threads)}
    missing = None
    try:
        calls[PEER] = onnxruntime_call(model, arrays, threads)
    except (MissingDependency, UnsupportedOp) as reason:
        missing = str(reason)
    peak = peak_call(threads)
    if peak is not None:
        calls[PEAK] = peak[0]
    return calls, None if peak is None else peak[1], missing


def _equal(calls: dict[str, Callable[[], Any]]) -> bool | None:
    """Whether both give the same output reals; None without a peer. A peer that refuses the images is left out."""
    if PEER not in calls:
        return None
    ours = [output.real for output in calls[INTSIM]().outputs.values()]
    try:
        theirs = calls[PEER]()
    except IntsimError as reason:
        note(str(reason))
        del calls[PEER]
        return None
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def _numbers(timings: Mapping[str, Timing], macs: int | None, images: int, work: int | None) -> dict[str, Any]:
    """Milliseconds an image, GMAC/s and shares of the peak, of both runtimes; None where there is no such number."""
    peak = None if work is None else work / timings[PEAK].best / 1e9
    numbers: dict[str, Any] = {"peak_gmacs": None if peak is None else round(peak, 1)}
    for name in (INTSIM, PEER):
        timing = timings.get(name)
        prefix = "" if name == INTSIM else f"{PEER}_"
        rate = None if timing is None or not macs else macs * images / timing.median / 1e9
        numbers |= {
            f"{name}_ms": None if timing is None else round(1e3 * timing.median / images, 5),
            f"{name}_best_ms": None if timing is None else round(1e3 * timing.best / images, 5),
            f"{prefix}gmacs": None if rate is None else round(rate, 2),
            f"{prefix}share_of_peak": None if rate is None or peak is None else round(rate / peak, 4),
        }
    numbers["quiet"] = all(timings[name].quiet for name in (INTSIM, PEER) if name in timings)
    return numbers


def _show(head: str, document: Mapping[str, Any], timings: Mapping[str, Timing]) -> None:
    macs = "" if document["macs"] is None else f", {document['macs'] / 1e9:,.4g} GMAC an image"
    threads = document["threads"]
    heading(f"{head}, batch {document['batch']}, {threads} thread{'' if threads == 1 else 's'}{macs}")
    rows = []
    for name in (INTSIM, PEER):
        if name not in timings:
            continue
        prefix = "" if name == INTSIM else f"{PEER}_"
        ms, share = document[f"{name}_ms"], document[f"{prefix}share_of_peak"]
        rows.append(
            (
                name,
                f"{ms:.4g}",
                f"{document[f'{name}_best_ms']:.4g}",
                "" if document[f"{prefix}gmacs"] is None else f"{document[f'{prefix}gmacs']:.4g}",
                "" if share is None else f"{share:.1%}",
                f"{ms / document['intsim_ms']:.2f}x",
            )
        )
    headers = ("runtime", "ms an image", "best", "GMAC/s", "of peak", "time")
    table(headers, rows, right=headers[1:])
    say()
    if document["peak_gmacs"] is not None:
        say(f"peak: {document['peak_gmacs']:.4g} GMAC/s, measured in the same turns (AVX512-VNNI)")
    if document["onnxruntime_missing"] is not None:
        say(document["onnxruntime_missing"])
    if document["outputs_equal"] is not None:
        same = (
            "outputs: equal" if document["outputs_equal"] else "outputs: not equal; intsim compare says where and why"
        )
        say(same)
    if not document["quiet"]:
        note("other processes took the cores all the time: no turn was quiet, so all were counted")


def _repeated(x: Array, images: int) -> Array:
    """The first axis repeated, and cut, to `images` images."""
    return np.ascontiguousarray(x[np.arange(images) % len(x)])
