"""Times convolutions with POST weights against ONNX Runtime's int8 convolution, interleaved, by CPU time.

    python tools/bench_post.py [--bits N] [--guard-bits N] [--rounds N] [--json]

One thread each. ONNX Runtime runs QLinearConv (u8 activations, s8 weights per channel), its fastest integer kernel;
our kernels make raw accumulators and prepare the weights anew in each call. The first result is compared with the
spec: a wrong kernel is not timed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from intsim.kernels.conv import conv
from intsim.kernels.post_conv import post_conv
from intsim.levels import Levels, product_table
from intsim.spec.post_conv import post_conv as definition

SHAPES = ((64, 64, 56), (64, 64, 32), (128, 128, 28), (256, 256, 14), (512, 512, 7))
"""Input channels, output channels, height and width of 3x3 convolutions with padding 1."""

GEOMETRY: dict[str, Any] = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1}
ACCUMULATOR: dict[str, Any] = {"accumulator_bits": 32, "overflow": "wrap"}

Run = Callable[[], Any]


def onnxruntime_run(x: np.ndarray[Any, Any], outputs: int) -> Run:
    """QLinearConv of the same shape on one thread."""
    import onnxruntime

    w = np.random.default_rng(1).integers(-127, 128, (outputs, x.shape[1], 3, 3)).astype(np.int8)
    constants = {
        "xs": np.float32(0.02),
        "xz": np.uint8(128),
        "w": w,
        "ws": np.full(outputs, 0.01, np.float32),
        "wz": np.zeros(outputs, np.int8),
        "ys": np.float32(0.5),
        "yz": np.uint8(128),
    }
    node = helper.make_node("QLinearConv", ["x", *constants], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def peers(shape: tuple[int, int, int], bits: int, guard_bits: int, batch: int) -> Mapping[str, Run]:
    """Peer -> a call that computes the batch once. Errors: SystemExit where the kernel differs from the spec."""
    channels, outputs, length = shape
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, channels, length, length)).astype(np.uint8)
    w = rng.integers(0, 1 << bits, (outputs, channels, 3, 3)).astype(np.uint8)
    w[w == 1 << (bits - 1)] = 0
    uniform = rng.integers(-127, 128, w.shape).astype(np.int8)
    runs: dict[str, Run] = {}
    for variant in ("shared", "full"):
        table = product_table(Levels("post", guard_bits, variant), bits, -128, 127)
        own: dict[str, Any] = {"table": table, "low": -128, "x_zero": 128, **GEOMETRY, **ACCUMULATOR}
        expected, _ = definition(x[:1, :, :9, :9], w[:4], **own)
        got, _ = post_conv(x[:1, :, :9, :9], w[:4], **own)
        if not np.array_equal(expected, got):
            raise SystemExit(f"{shape}, {variant} table: the kernel differs from the spec")
        runs[f"post {variant}"] = partial(post_conv, x, w, **own, check=False, accumulate="int32")
    runs["int8"] = lambda: conv(x, uniform, x_zero=128, **GEOMETRY, **ACCUMULATOR, check=False, accumulate="int32")
    runs["onnxruntime int8"] = onnxruntime_run(x, outputs)
    return runs


def interleave(runs: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each call, the peers in turn; the first round, which compiles and warms up, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if number:
                seconds[name].append(time.process_time() - start)
    return seconds


@click.command()
@click.option("--bits", default=4, show_default=True, help="Of the POST weights, 2 to 8.")
@click.option("--guard-bits", default=4, show_default=True)
@click.option("--batch", default=4, show_default=True)
@click.option("--rounds", default=15, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with a list `cells`.")
def main(bits: int, guard_bits: int, batch: int, rounds: int, as_json: bool) -> None:
    """GMAC/s on one core, median (best), by shape of a 3x3 convolution."""
    cells = []
    for shape in SHAPES:
        macs = batch * shape[0] * shape[1] * 9 * shape[2] ** 2
        for name, seconds in interleave(peers(shape, bits, guard_bits, batch), rounds).items():
            median, best = (macs / value / 1e9 for value in (statistics.median(seconds), min(seconds)))
            cells.append({"shape": shape, "peer": name, "gmacs": median, "best": best})
            if not as_json:
                print(
                    f"{shape[0]:>4} -> {shape[1]:<4} {shape[2]:>3}x{shape[2]:<3} {name:18} {median:7.1f} ({best:.1f})"
                )
    if as_json:
        print(json.dumps({"bits": bits, "guard_bits": guard_bits, "batch": batch, "cells": cells}, indent=2))


if __name__ == "__main__":
    main()
