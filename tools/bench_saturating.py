"""Times the ordered saturating convolution, which clamps after every product, against ONNX Runtime's int8 convolution.

    python tools/bench_saturating.py [--bits A]... [--channels C]... [--size S] [--code-bits 8|16]
                                     [--threads N] [--rounds N] [--json]

3 x 3 convolutions of int8 codes, C channels in and out, S x S pixels, padded, batch 1; GMAC/s a core: by CPU time, all
threads together, so that a busy machine does not slow the longer of two runs more than the shorter.
Ours gives accumulators and where they were clamped; ONNX Runtime's QLinearConv, which has no saturating accumulator,
gives requantized uint8 codes. The two take turns; medians are printed. Before it is timed, our result is compared with
the spec's on the first output channels. Sums that cannot reach the ends of their accumulator, as the kernel finds out
by the magnitudes of each channel's weights, are not clamped: with codes of 8 bits that is so in 32 bits, and in 24 bits
up to about 64 channels. Codes of 16 bits fill 32 bits; ONNX Runtime's convolution is of 8 bits all the same.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from intsim import spec
from intsim.kernels.conv import conv
from intsim.kernels.parallel import Pool

JUDGED = 4
"""Output channels on which the spec, which is slow, is asked too."""

PARAMETERS: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (1, 1, 1, 1),
    "dilations": (1, 1),
    "groups": 1,
    "overflow": "saturate",
}


def onnxruntime_convolution(x: np.ndarray[Any, Any], w: np.ndarray[Any, Any], threads: int) -> Callable[[], Any]:
    """A call of QLinearConv (u8 activations, s8 weights: its fastest form) of the same shape."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any) -> TensorProto:
        return numpy_helper.from_array(np.asarray(value), name)

    names = ("x", "one", "zero", "w", "one", "w_zero", "scale", "zero")
    node = helper.make_node("QLinearConv", names, ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph(
        [node],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [
            constant("one", np.float32(1)),
            constant("zero", np.uint8(128)),
            constant("w_zero", np.int8(0)),
            constant("scale", np.float32(4096)),
            constant("w", w),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": (x.astype(np.int16) + 128).astype(np.uint8)}
    return lambda: session.run(None, feed)


@click.command()
@click.option("--bits", "widths", multiple=True, type=int, default=[14, 16, 24, 32], show_default=True)
@click.option("--channels", multiple=True, type=int, default=[64, 128, 256], show_default=True)
@click.option("--code-bits", default="8", type=click.Choice(["8", "16"]), show_default=True)
@click.option("--size", default=28, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--rounds", default=9, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with a list `cells`.")
def main(
    widths: tuple[int, ...],
    channels: tuple[int, ...],
    code_bits: str,
    size: int,
    threads: int,
    rounds: int,
    as_json: bool,
) -> None:
    """Median GMAC/s a core by accumulator width and channels."""
    rng = np.random.default_rng(0)
    cells = []
    for count in channels:
        shapes = ((1, count, size, size), (count, count, 3, 3))
        peer_x, peer_w = (rng.integers(-128, 128, s).astype(np.int8) for s in shapes)
        peer = onnxruntime_convolution(peer_x, peer_w, threads)
        top = 1 << (int(code_bits) - 1)
        x, w = (rng.integers(-top, top, s).astype(f"int{code_bits}") for s in shapes)
        for bits in widths:
            parameters = {**PARAMETERS, "accumulator_bits": bits}
            with Pool(threads) as pool:
                got = conv(x, w, **parameters, pool=pool)
                expected = spec.conv(x, w[:JUDGED], **parameters)
                if not all(
                    np.array_equal(g[:, :JUDGED], e) for g, e in zip(got, expected, strict=True) if g is not None
                ):
                    raise SystemExit(f"{count} channels, {bits} bits: not the spec's result")
                seconds: dict[str, list[float]] = {"intsim": [], "onnxruntime": []}
                for number in range(rounds + 1):
                    for name, run in (("intsim", lambda: conv(x, w, **parameters, pool=pool)), ("onnxruntime", peer)):  # noqa: B023
                        start = time.process_time()
                        run()
                        if number:
                            seconds[name].append(time.process_time() - start)
            macs = count * count * 9 * size * size
            rates = {f"{k}_gmacs": round(macs / statistics.median(v) / 1e9, 1) for k, v in seconds.items()}
            clamped = float(np.mean(got[1])) if got[1] is not None else 0.0
            cells.append(
                {
                    "channels": count,
                    "size": size,
                    "code_bits": int(code_bits),
                    "bits": bits,
                    "threads": threads,
                    "clamped": clamped,
                    **rates,
                }
            )
            if not as_json:
                click.echo(
                    f"{count} channels, {size} x {size}, {bits} bits, {threads} threads: {rates['intsim_gmacs']} "
                    f"GMAC/s a core ({100 * clamped:.0f}% clamped), onnxruntime {rates['onnxruntime_gmacs']}"
                )
    if as_json:
        click.echo(json.dumps({"schema_version": 1, "cells": cells}))


if __name__ == "__main__":
    main()
