"""What POST weights cost, layer by layer, on the demo network's trained weights.

    python tools/post_report.py [--bits N] [--guard-bits N] [--images N] [--json]

Weights: the mean square error against the float weights (batch normalisation folded), relative to their mean square,
of uniform, POT and POST codes of equal bits, each with its best power-of-two scale. Table: how far the sums with
rounded products are from those with the exact, irrational ones, in LSB of the layer's output codes, and the share of
output codes that the rounding changes, each layer fed its own integer inputs. Top-1: of the whole network, first and
last layer 8 bits.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import intsim
from intsim import demo
from intsim.levels import Levels
from intsim.quantization.post import FUNCTIONS, best_alpha, nearest, post_model
from intsim.quantization.post_training import fold
from intsim.quantization.prepare import prepare

Array = np.ndarray[Any, Any]


def trained_weights() -> dict[str, Array]:
    """Node name -> float weights, batch normalisation folded."""
    graph = prepare(demo.float_model(), 8)
    fold(graph)
    return {n.name: graph.constants[n.inputs[1]] for n in graph.nodes if n.op in ("Conv", "Gemm", "MatMul")}


def on_levels(rule: str, bits: int) -> Callable[[Array], Array]:
    """The weights on their nearest POST or POT levels."""

    def quantized(reals: Array) -> Array:
        levels = Levels(rule, 0, "full")
        alpha = best_alpha(reals, bits, levels)
        return levels.reals(nearest(reals, alpha, bits, levels), bits) * np.float32(alpha)

    return quantized


def uniform(bits: int) -> Callable[[Array], Array]:
    """The weights in uniform signed codes, with the power-of-two scale of the least squared error."""

    def quantized(reals: Array) -> Array:
        top = math.frexp(float(np.abs(reals).max()))[1] - bits + 1
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        made = [np.clip(np.floor(reals / s + 0.5), low, high) * s for s in (2.0 ** (top + e) for e in range(-3, 2))]
        return min(made, key=lambda m: float(((m - reals) ** 2).sum())).astype(np.float32)

    return quantized


def with_float_weights(model: onnx.ModelProto, weights: dict[str, Array]) -> bytes:
    """The model with real weights in the place of its POST functions: what each scheme is in fake quantization."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.name in weights:
            name = f"{node.name}.real_weights"
            copy.graph.initializer.append(numpy_helper.from_array(weights[node.name].astype(np.float32), name))
            node.input[1] = name
    return copy.SerializeToString()


def float_top1(file: bytes, reals: Array, labels: Array) -> float:
    """ONNX Runtime's top-1 in per cent."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: reals})[0]
    return 100 * float((logits.argmax(axis=1) == labels).mean())


def table_cost(model: intsim.Model, x: Array) -> dict[str, dict[str, float]]:
    """By node: the error of the sums in LSB of the output (mean magnitude, largest), and the share of changed codes."""
    import torch

    layers = [layer for layer in model.lowered.layers if layer.op == "post_conv"]
    names = [n for layer in layers for n in layer.inputs]
    tensors = {a: t for t, a in model.lowered.accumulators.items()}
    taps = [f"codes@{n}" for n in dict.fromkeys(names)]
    taps += [f"accumulator@{tensors[layer.outputs[0]]}" for layer in layers]
    found = model.run(x, taps=taps).taps
    costs = {}
    for layer in layers:
        p, tensor = layer.parameters, tensors[layer.outputs[0]]
        requantizer = next(other for other in model.lowered.layers if layer.outputs[0] in other.inputs)
        format = model.graph.format(next(n for n in model.graph.nodes if n.name == layer.node).inputs[1])
        assert format is not None and format.levels is not None
        half, guard = len(p["table"]), format.levels.guard_bits
        magnitudes = np.exp2(-format.levels.half_octaves(format.bits) / 2)
        level = np.concatenate([[0.0], magnitudes, [0.0], -magnitudes])[p["w"]] * 2.0**guard
        assert len(p["table"]) == half
        codes = found[layer.inputs[0]].codes
        assert codes is not None
        pads = [n for low, high in reversed(list(zip(p["pads"][:2], p["pads"][2:], strict=True))) for n in (low, high)]
        centred = torch.nn.functional.pad(torch.tensor(codes.astype(np.float64) - p["x_zero"]), pads)
        exact = torch.nn.functional.conv2d(
            centred,
            torch.tensor(level),
            torch.tensor(np.asarray(p["bias"], np.float64)),
            stride=p["strides"],
            dilation=p["dilations"],
            groups=p["groups"],
        ).numpy()
        rounded = found[tensor].accumulator
        assert rounded is not None
        lsb = 2.0 ** int(requantizer.parameters["shift"])
        error = np.abs(rounded - exact) / lsb
        low, high = (-(1 << (requantizer.parameters["bits"] - 1)), (1 << (requantizer.parameters["bits"] - 1)) - 1)
        ours, theirs = (np.clip(np.floor(a / lsb + 0.5), low, high) for a in (rounded, exact))
        costs[layer.node] = {
            "mean": float(error.mean()),
            "largest": float(error.max()),
            "changed": 100 * float((ours != theirs).mean()),
        }
    return costs


@click.command()
@click.option("--bits", default=4, show_default=True, help="Of the weights between first and last layer, 2 to 8.")
@click.option("--guard-bits", default=4, show_default=True)
@click.option("--images", default=512, show_default=True, help="Of the demo's images.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def main(bits: int, guard_bits: int, images: int, as_json: bool) -> None:
    """The cost of POST's levels and of its table rounding."""
    archive = np.load(demo.images())
    x, labels = archive["x"][:images], archive["y"][:images]
    reals = x.astype(np.float32) / 128
    weights, base = trained_weights(), onnx.load(demo.quantized_model())
    schemes = {"uniform": uniform(bits), "pot": on_levels("pot", bits), "post": on_levels("post", bits)}
    models = {
        f"{rule} {variant}": post_model(base, bits=bits, levels=Levels(rule, guard_bits, variant), weights=weights)
        for rule in FUNCTIONS
        for variant in ("shared", "full")
    }
    changed = [row.node for row in models["post shared"].rows]
    rows: list[dict[str, Any]] = []
    integer: dict[str, float] = {}
    costs = {}
    for name, made in models.items():
        model = intsim.load(made.model)
        logits = next(iter(model.run(x).outputs.values())).real
        integer[name] = 100 * float((logits.argmax(axis=1) == labels).mean())
        if name.startswith("post"):
            costs[name] = table_cost(model, x[:64])
    quantized = {name: {node: scheme(weights[node]) for node in changed} for name, scheme in schemes.items()}
    for node in changed:
        w = weights[node]
        mse = {name: float(((q[node] - w) ** 2).mean() / (w**2).mean()) for name, q in quantized.items()}
        rows.append({"node": node, "mse": mse, "table": {name: cost[node] for name, cost in costs.items()}})
    floats = {
        name: float_top1(with_float_weights(models["post shared"].model, q), reals, labels)
        for name, q in quantized.items()
    }
    eight = next(iter(intsim.load(base).run(x).outputs.values())).real
    integer["uniform 8 bits"] = 100 * float((eight.argmax(axis=1) == labels).mean())
    if as_json:
        print(
            json.dumps({"bits": bits, "guard_bits": guard_bits, "layers": rows, "top1": integer, "float_top1": floats})
        )
        return
    print(f"{bits} bits, {guard_bits} guard bits; weights: error / power; table: LSB mean (largest), codes changed")
    print(f"{'layer':34} {'uniform':>8} {'pot':>8} {'post':>8}   {'shared table':24} full table")
    for row in rows:
        errors = " ".join(f"{row['mse'][name]:8.5f}" for name in schemes)
        tables = [f"{c['mean']:.4f} ({c['largest']:.2f}) {c['changed']:6.3f}%" for c in row["table"].values()]
        print(f"{row['node']:34} {errors}   {tables[0]:24} {tables[1]}")
    print("top-1, integer: " + ", ".join(f"{name} {value:.1f}%" for name, value in integer.items()))
    print("top-1, the same weights in ONNX Runtime's float: " + ", ".join(f"{n} {v:.1f}%" for n, v in floats.items()))


if __name__ == "__main__":
    main()
