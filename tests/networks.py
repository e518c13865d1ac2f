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
        Layer(
            "x_q", "quantize", ("x",), ("x_q",), {"scale": X.scales[0], "rounding": "half_up", "axis": 1, **out}, "in"
        ),
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


def codes_of_power_of_two(exponent: int, bits: int = 8, **changes: Any) -> Format:
    """A signed format with a shared exponent."""
    return Format(bits, scale=(2.0**exponent,), **changes)


def residual_graph(*, seed: int = 0, batch: int | None = None, size: int = 8, scale: float = 1.0) -> Graph:
    """real image -> Conv + Relu -> MaxPool -> Conv -> Add -> mean -> Gemm -> real logits, power-of-two exponents.

    scale: multiplies the input's scale, 1.0 for shared exponents throughout.
    """
    generator = np.random.default_rng(seed)
    x = Format(8, scale=(2.0**-4 * scale,))
    y, w = codes_of_power_of_two(-3), codes_of_power_of_two(-6)
    formats: dict[str, Format | None] = {
        "image": None,
        "x": x,
        "w1": w,
        "b1": Format(32, scale=(2.0**-10 * scale,)),
        "conv1_real": None,
        "y1": y,
        "p1": y,
        "w2": w,
        "b2": Format(12, scale=(2.0**-7,)),
        "y2": y,
        "sum": codes_of_power_of_two(-2),
        "mean": codes_of_power_of_two(-3),
        "flat": codes_of_power_of_two(-3),
        "w3": w,
        "b3": Format(32, scale=(2.0**-9,)),
        "logits_q": codes_of_power_of_two(-3),
        "logits": None,
    }
    lengths = {"w1": (4, 3, 3, 3), "w2": (4, 4, 3, 3), "w3": (4, 5), "b1": (4,), "b2": (4,), "b3": (5,)}
    half = size // 2
    shapes: dict[str, tuple[int | None, ...]] = {
        "image": (batch, 3, size, size),
        "x": (batch, 3, size, size),
        **lengths,
        "conv1_real": (batch, 4, size, size),
        "y1": (batch, 4, size, size),
        "p1": (batch, 4, half, half),
        "y2": (batch, 4, half, half),
        "sum": (batch, 4, half, half),
        "mean": (batch, 4, 1, 1),
        "flat": (batch, 4),
        "logits_q": (batch, 5),
        "logits": (batch, 5),
    }
    constants = {n: generator.integers(-128, 128, lengths[n]).astype(np.int8) for n in ("w1", "w2", "w3")}
    constants |= {n: generator.integers(-2000, 2000, lengths[n]).astype(np.int32) for n in ("b1", "b2", "b3")}
    constants["b2"] = constants["b2"].astype(np.int16)
    conv = {"strides": (1, 1), "dilations": (1, 1), "pads": (1, 1, 1, 1), "groups": 1}
    pool = {"kernel": (2, 2), "strides": (2, 2), "dilations": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}
    nodes = (
        Node("in", "QuantizeLinear", ("image",), ("x",)),
        Node("conv1", "Conv", ("x", "w1", "b1"), ("conv1_real",), conv),
        Node("relu1", "Relu", ("conv1_real",), ("y1",)),
        Node("pool", "MaxPool", ("y1",), ("p1",), pool),
        Node("conv2", "Conv", ("p1", "w2", "b2"), ("y2",), conv),
        Node("add", "Add", ("p1", "y2"), ("sum",)),
        Node("average", "GlobalAveragePool", ("sum",), ("mean",)),
        Node("flatten", "Flatten", ("mean",), ("flat",), {"axis": 1}),
        Node("fc", "Gemm", ("flat", "w3", "b3"), ("logits_q",), {"alpha": 1.0, "beta": 1.0}),
        Node("out", "DequantizeLinear", ("logits_q",), ("logits",)),
    )
    values = {name: Value(name, shapes[name], format) for name, format in formats.items()}
    return Graph("residual", ("image",), ("logits",), nodes, values, constants, 21, {}, "00" * 32)
