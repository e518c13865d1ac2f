"""Small lowered networks built by hand, for the tests of what runs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.lowering.lowered import Layer, Lowered, accumulator_of
from intsim.target import Target

Array = np.ndarray[Any, Any]

X = Format(8, scale=(2.0**-4,))
W = Format(8, scale=(2.0**-6,))
Y = Format(8, scale=(2.0**-3,))


def random_codes(seed: int, shape: tuple[int, ...], format: Format = X) -> Array:
    """Codes of a format, uniformly drawn."""
    draw = np.random.default_rng(seed).integers(format.low, format.high, shape, endpoint=True)
    return draw.astype(format.dtype)


def conv_parameters(**changes: Any) -> dict[str, Any]:
    """The parameters of a 3x3 convolution that keeps the size, with the changes."""
    parameters = {
        "x_zero": 0,
        "w_zero": 0,
        "bias": None,
        "strides": (1, 1),
        "pads": (1, 1, 1, 1),
        "dilations": (1, 1),
        "groups": 1,
        "accumulator_bits": 32,
        "overflow": "wrap",
    }
    return {**parameters, **changes}


def single_mac(
    op: str,
    x_shape: tuple[int | None, ...],
    parameters: dict[str, Any],
    *,
    x_format: Format = X,
    output_shape: tuple[int | None, ...] | None = None,
    second: tuple[str, tuple[int | None, ...], Format] | None = None,
) -> Lowered:
    """One conv or matmul of codes x (and of codes `second`, unless the weights are parameters): only its sums."""
    inputs = ("x",) if second is None else ("x", second[0])
    sums = Format(parameters["accumulator_bits"])
    values = {"x": Value("x", x_shape, x_format)}
    formats: dict[str, Format | None] = {"x": x_format, accumulator_of("y"): sums}
    if second is not None:
        values[second[0]] = Value(*second)
        formats[second[0]] = second[2]
    name = accumulator_of("y")
    graph = Graph("mac", inputs, (name,), (Node("mac", "Conv", inputs, (name,)),), values, {}, 21)
    layer = Layer(name, op, inputs, (name,), parameters, "mac")
    return Lowered(graph, Target("diffquant"), (layer,), formats, {n: n for n in inputs}, {name: name}, {"y": name})


def residual(
    *, seed: int = 0, batch: int | None = None, size: int = 8, overflow: str = "wrap", accumulator_bits: int = 24
) -> Lowered:
    """real x -> quantize -> conv1 -> requantize -> clip (its Relu) -> conv2 -> requantize -> add -> mean -> logits."""
    generator = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        codes = generator.integers(-128, 128, shape).astype(np.int8)
        codes.flags.writeable = False
        return codes

    w1, w2, w3 = weights(4, 3, 3, 3), weights(4, 4, 3, 3), weights(4, 5)
    b1, b2, b3 = (generator.integers(-2000, 2000, n) for n in (4, 4, 5))
    sums = Format(accumulator_bits, scale=(2.0**-10,))
    shapes = {
        "x": (batch, 3, size, size),
        "x_q": (batch, 3, size, size),
        "y1": (batch, 4, size, size),
        "y2": (batch, 4, size, size),
        "sum": (batch, 4, size, size),
        "mean": (batch, 4, 1, 1),
        "flat": (batch, 4),
        "logits_q": (batch, 5),
        "logits": (batch, 5),
    }
    formats: dict[str, Format | None] = {
        "x": None,
        "x_q": X,
        "y1#accumulator": sums,
        "y1#unclamped": Y,
        "y1": Y,
        "y2#accumulator": sums,
        "y2": Y,
        "sum": Y,
        "mean": Y,
        "flat": Y,
        "logits_q#accumulator": sums,
        "logits_q": Y,
    }
    out = {"zero_point": 0, "bits": 8, "signed": True, "narrow": False}
    mac = {"accumulator_bits": accumulator_bits, "overflow": overflow}
    layers = (
        Layer("x_q", "quantize", ("x",), ("x_q",), {"scale": X.scales[0], "rounding": "half_up", "axis": 1, **out}, "in"),
        Layer("y1#accumulator", "conv", ("x_q",), ("y1#accumulator",), conv_parameters(w=w1, bias=b1, **mac), "conv1"),
        Layer(
            "y1#unclamped",
            "requantize",
            ("y1#accumulator",),
            ("y1#unclamped",),
            {"shift": 7, "rounding": "half_up", "axis": 1, **out},
            "conv1",
        ),
        Layer("y1", "clip", ("y1#unclamped",), ("y1",), {"low": 0, "high": 127}, "conv1"),
        Layer("y2#accumulator", "conv", ("y1",), ("y2#accumulator",), conv_parameters(w=w2, bias=b2, **mac), "conv2"),
        Layer(
            "y2",
            "requantize",
            ("y2#accumulator",),
            ("y2",),
            {"shift": 9, "rounding": "half_up", "axis": 1, **out},
            "conv2",
        ),
        Layer(
            "sum",
            "add",
            ("y1", "y2"),
            ("sum",),
            {"a_shift": 0, "b_shift": 0, "a_zero": 0, "b_zero": 0, "shift": 0, "rounding": "half_up", **out},
            "add",
        ),
        Layer(
            "mean",
            "reduce_mean",
            ("sum",),
            ("mean",),
            {"axes": (2, 3), "keepdims": True, "x_zero": 0, "shift": 0, "rounding": "half_up", **out},
            "pool",
        ),
        Layer("flat", "flatten", ("mean",), ("flat",), {"axis": 1}, "flatten"),
        Layer(
            "logits_q#accumulator",
            "matmul",
            ("flat",),
            ("logits_q#accumulator",),
            {"b": w3, "a_zero": 0, "b_zero": 0, "bias": b3, **mac},
            "fc",
        ),
        Layer(
            "logits_q",
            "requantize",
            ("logits_q#accumulator",),
            ("logits_q",),
            {"shift": 6, "rounding": "half_up", "axis": -1, **out},
            "fc",
        ),
    )
    values = {name: Value(name, shape, formats.get(name)) for name, shape in shapes.items()}
    nodes = tuple(Node(layer.node, layer.op, layer.inputs, layer.outputs) for layer in layers)
    graph = Graph("residual", ("x",), ("logits",), nodes, values, {}, 21)
    return Lowered(
        graph,
        Target("diffquant"),
        layers,
        formats,
        {"x": "x_q"},
        {"logits": "logits_q"},
        {name: f"{name}#accumulator" for name in ("y1", "y2", "logits_q")},
    )


def evaluate(lowered: Lowered, inputs: dict[str, Array]) -> dict[str, Array]:
    """Every value, by the spec, layer by layer: the plainest runner there can be."""
    values = dict(inputs)
    for layer in lowered.layers:
        function = getattr(import_module(f"intsim.spec.{layer.op}"), layer.op)
        result = function(*(values[n] for n in layer.inputs), **layer.parameters)
        values[layer.outputs[0]] = result[0] if isinstance(result, tuple) else result
        if isinstance(result, tuple):
            values[f"{layer.outputs[0]} overflowed"] = result[1]
    return values
