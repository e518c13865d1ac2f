from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning


def one_op(op: str, opset: int = 21, constants: tuple[Any, ...] = (), **attributes: Any) -> ModelProto:
    w = ModelWriter(opset)
    x = w.quantized(w.input("x", ["N", 3, 5]), 0.0625, 99)
    extra = [w.constant(f32(c), f"k{i}") if c is not None else "" for i, c in enumerate(constants)]
    return w.model(w.quantized(w.node(op, x, *extra, output="y", **attributes), 0.03125, 50))


@pytest.mark.parametrize(
    "op,attributes,canonical",
    [
        ("Relu", {}, {}),
        ("LeakyRelu", {}, {"alpha": float(f32(0.01))}),
        ("LeakyRelu", {"alpha": 0.25}, {"alpha": 0.25}),
        ("Sigmoid", {}, {}),
        ("Tanh", {}, {}),
        ("HardSigmoid", {}, {"alpha": float(f32(0.2)), "beta": 0.5}),
        ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, {"alpha": 0.5, "beta": 0.25}),
        ("HardSwish", {}, {}),
        ("Softmax", {}, {"axis": 2}),
        ("Softmax", {"axis": 1}, {"axis": 1}),
    ],
)
def test_one_input(op: str, attributes: dict[str, Any], canonical: dict[str, Any]) -> None:
    graph = same_meaning(one_op(op, **attributes))
    assert graph.nodes[1].op == op
    assert graph.nodes[1].attributes == canonical


@pytest.mark.parametrize(
    "bounds,attributes",
    [
        ((0.0, 6.0), {"min": 0.0, "max": 6.0}),
        ((-1.5,), {"min": -1.5}),
        ((None, 0.7), {"max": float(f32(0.7))}),
        ((), {}),
        ((-np.inf, np.inf), {}),
    ],
)
def test_clip(bounds: tuple[Any, ...], attributes: dict[str, float]) -> None:
    graph = same_meaning(one_op("Clip", constants=bounds))
    assert graph.nodes[1].attributes == attributes


def test_clip_of_opset_10_has_attributes() -> None:
    graph = load_graph(one_op("Clip", 10, min=-1.0, max=2.0))
    assert graph.nodes[1].attributes == {"min": -1.0, "max": 2.0}


def test_bounds_that_are_quantized() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.0625, 99)
    low, high = w.dequantized(-3, 0.5, name="low"), w.dequantized(4, 0.5, name="high")
    graph = same_meaning(w.model(w.quantized(w.node("Clip", x, low, high, output="y"), 0.03125, 50)))
    assert graph.nodes[1].attributes == {"min": -1.5, "max": 2.0}


def test_prelu_slope_is_real() -> None:
    same_meaning(one_op("PRelu", constants=([[0.5], [0.25], [-1]],)))
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3, 2]), 0.0625, 99)
    slope = w.dequantized([[1], [-2], [3]], 0.5, name="slope")
    graph = same_meaning(w.model(w.quantized(w.node("PRelu", x, slope, output="y"), 0.03125, 50)))
    assert graph.format(graph.nodes[1].inputs[1]) is None


def test_relu_without_a_quantizer_keeps_the_codes() -> None:
    """max(codes, zero point) is what Relu of the dequantized codes is."""
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.0625, 99)
    relu = w.node("Relu", x, output="relu")
    graph = same_meaning(w.model(w.quantized(w.node("Mul", relu, x, output="y"), 0.5)))
    assert graph.format("relu") == graph.format("x_q")


@pytest.mark.parametrize(
    "bounds,keeps",
    [
        ((0.0, 6.0), True),
        ((0.0, 6.03), False),
        ((-100.0, 100.0), True),
        ((None, 0.7), False),
        ((-6.1875,), True),
        ((50.0,), False),
    ],
)
def test_clip_without_a_quantizer_keeps_the_codes_on_their_grid(bounds: tuple[Any, ...], keeps: bool) -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.0625, 99)
    extra = [w.constant(f32(b)) if b is not None else "" for b in bounds]
    clip = w.node("Clip", x, *extra, output="clip")
    graph = same_meaning(w.model(w.quantized(w.node("Mul", clip, x, output="y"), 0.5)))
    assert (graph.format("clip") == graph.format("x_q")) == keeps
    assert (graph.format("clip") is None) != keeps


def test_relu_and_clip_of_integers_clamp_codes() -> None:
    w = ModelWriter()
    s, z = w.constant(f32(0.5)), w.constant(-5, kind=TensorProto.INT8)
    codes = w.node("QuantizeLinear", w.input("x", ["N", 3]), s, z, output="q")
    relu = w.node("Relu", codes, output="relu")
    bounds = [w.constant(b, kind=TensorProto.INT8) for b in (3, 90)]
    clip = w.node("Clip", relu, *bounds, output="clip")
    graph = same_meaning(w.model(w.node("DequantizeLinear", clip, s, z, output="y")), spread=20)
    assert [(n.op, n.attributes) for n in graph.nodes[1:3]] == [
        ("CodeClip", {"low": 0, "high": 127}),
        ("CodeClip", {"low": 3, "high": 90}),
    ]
    assert graph.format("clip") == graph.format("q")


def test_refused() -> None:
    with pytest.raises(MalformedGraph, match="axis 3 is outside a tensor of rank 3"):
        load_graph(one_op("Softmax", axis=3))
    with pytest.raises(UnsupportedOp, match="axis 1 in opset 12 joins axes"):
        load_graph(one_op("Softmax", 12, axis=1))
    with pytest.raises(MalformedGraph, match=r"min.* must be a number, not nan"):
        load_graph(one_op("Clip", constants=(np.nan,)))
    with pytest.raises(MalformedGraph, match="lengths 5 and 7 do not broadcast"):
        load_graph(one_op("PRelu", constants=([1.0] * 7,)))
    w = ModelWriter()
    low = w.input("low", [])
    clip = w.node("Clip", w.input("x", ["N", 3]), low, output="y")
    with pytest.raises(UnsupportedOp, match=r"input 1 \(min, 'low'\) must be a constant"):
        load_graph(w.model(clip))
