"""Times intsim against ONNX Runtime, PyTorch fake-quant and onnx's ReferenceEvaluator, interleaved in one run.

    python tools/bench.py [--network NAME]... [--threads N]... [--batch N]... [--rounds N] [--json]

The peers take turns, so that a machine whose speed drifts slows all of them; medians are printed, and ratios to quote.
All run the same file: u8 activations and weights per channel, ONNX Runtime's fastest form (`demo`: the shipped model,
s8). Its codes are compared with ours first, target onnxruntime: a wrong result is not timed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import intsim
from intsim import demo
from intsim.comparison.torch_twin import TorchTwin
from intsim.engine import Engine
from intsim.inputs import values_of
from tests.models.networks import NETWORKS
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize

CONFIGURATION = CONFIGURATIONS["qdq-u8-asymmetric-channel"]
DEMO = "demo"
CALIBRATION = 8
"""Photographs; speed does not depend on them."""

Run = Callable[[], Any]


def quantized(name: str) -> tuple[bytes, NDArray[np.float32]]:
    """The model file, and its images f32[N, ...]: the shipped demo model, or a network that ONNX Runtime quantizes."""
    if name == DEMO:
        codes = np.load(demo.images())["x"]
        return demo.quantized_model().read_bytes(), codes.astype(np.float32) / 128
    network = NETWORKS[name]
    images = network.images()
    file = quantize(preprocess(network.build(224)), CONFIGURATION, images[:CALIBRATION])
    return file.SerializeToString(), images


def peers(name: str, batch: int, threads: int, reference: bool) -> Mapping[str, Run]:
    """Peer -> a call that computes the batch once. Errors: SystemExit where our codes are not ONNX Runtime's."""
    import onnxruntime

    file, images = quantized(name)
    model = intsim.load(file, target="onnxruntime")
    x = np.concatenate([images] * -(-batch // len(images)))[:batch]
    comparison = intsim.compare(model, "onnxruntime", x[:2])
    if not comparison.equal:
        raise SystemExit(comparison.summary())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feeds = {model.graph.inputs[0]: x}
    engine = Engine(model.plan, threads)
    inputs = values_of(model.lowered, model.named_inputs(x))
    twin = TorchTwin(model.graph, threads)
    runs: dict[str, Run] = {
        "intsim": lambda: engine.run(inputs),
        "onnxruntime": lambda: session.run(None, feeds),
        "torch fake-quant": lambda: twin.run(feeds),
    }
    if reference:
        from onnx.reference import ReferenceEvaluator

        # the evaluator has the quantization ops from opset 19 on
        evaluator = ReferenceEvaluator(onnx.version_converter.convert_version(onnx.load_from_string(file), 21))
        runs["onnx reference"] = lambda: evaluator.run(None, feeds)
    return runs


def interleave(runs: Mapping[str, Run], rounds: int) -> dict[str, float]:
    """Median seconds of each call, the peers in turn; the first round, which compiles and warms up, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


@click.command()
@click.option("--network", "networks", multiple=True, type=click.Choice([DEMO, *NETWORKS]), default=[DEMO, *NETWORKS])
@click.option("--threads", multiple=True, type=int, default=[1, 2], show_default=True)
@click.option("--batch", "batches", multiple=True, type=int, default=[1, 16], show_default=True)
@click.option("--rounds", default=9, show_default=True)
@click.option("--reference", is_flag=True, help="Also time onnx's ReferenceEvaluator (minutes).")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with a list `cells`.")
def main(
    networks: tuple[str, ...],
    threads: tuple[int, ...],
    batches: tuple[int, ...],
    rounds: int,
    reference: bool,
    as_json: bool,
) -> None:
    """Median milliseconds an image, by network, threads and batch."""
    cells = []
    for name in networks:
        for count in threads:
            for batch in batches:
                medians = interleave(peers(name, batch, count, reference), rounds)
                milliseconds = {k: 1000 * v / batch for k, v in medians.items()}
                cell = {"network": name, "target": "onnxruntime", "threads": count, "batch": batch}
                keys = {f"{k.replace(' ', '_').replace('-', '_')}_ms": round(v, 4) for k, v in milliseconds.items()}
                cells.append({**cell, **keys})
                if not as_json:
                    line = "  ".join(
                        f"{k} {v:.2f} ms ({v / milliseconds['intsim']:.2f}x)" for k, v in milliseconds.items()
                    )
                    click.echo(f"{name}, {count} threads, batch {batch}:  {line}")
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "cells": cells}))


if __name__ == "__main__":
    main()
