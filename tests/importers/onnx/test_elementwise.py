from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from onnx import TensorProto

from intsim.errors import MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Min", "Max"])
@pytest.mark.parametrize("b", [("N", 3, 4), (1, 3, 1), (4,), ()], ids=str)
def test_two_activations(op: str, b: Sequence[int | str]) -> None:
    w = ModelWriter()
    x = w.quantized(w.input("a", ["N", 3, 4]), 0.25, 5)
    y = w.quantized(w.input("b", b), 0.5, -9, TensorProto.INT8)
    graph = same_meaning(w.model(w.quantized(w.node(op, x, y, output="y"), 0.4, 100)))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "QuantizeLinear", op, "DequantizeLinear"]


def test_a_coded_and_a_real_constant() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("a", ["N", 3]), 0.25, 5)
    y = w.quantized(w.node("Add", x, w.dequantized([1, 2, 3], 0.5, name="k"), output="y"), 0.4, 100)
    z = w.quantized(w.node("Mul", y, w.constant(f32([0.5, 2, 3]), "r"), output="z"), 0.4, 100)
    graph = same_meaning(w.model(z))
    assert (graph.format("k") is None, graph.format("r")) == (False, None)
    assert graph.constants["r"].dtype == np.float32


def test_a_chain_of_reals_stays_real() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("a", ["N", 3]), 0.25, 5)
    sigmoid = w.node("Sigmoid", x, output="s")
    graph = same_meaning(w.model(w.quantized(w.node("Mul", x, sigmoid, output="y"), 0.4, 100)))
    assert [(n.op, n.inputs, n.outputs) for n in graph.nodes[1:3]] == [
        ("Sigmoid", ("a_q",), ("s",)),
        ("Mul", ("a_q", "s"), ("y_q",)),
    ]


def test_constants_are_computed() -> None:
    w = ModelWriter()
    x = w.input("a", ["N", 3])
    scale = w.node("Div", w.constant(f32(1)), w.constant(f32(4)), output="scale")
    codes = w.node("QuantizeLinear", x, scale, w.constant(3, kind=TensorProto.UINT8), output="q")
    graph = load_graph(w.model(codes))
    format = graph.format("q")
    assert format is not None
    assert (format.scale, format.zero_point) == ((0.25,), (3,))


def test_integers_divide_toward_zero() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("a", [4, 3]), 0.25, 5)
    shape = w.node("Div", w.constant(np.array([-13, 9])), w.constant(np.array([-3, -8])))
    graph = load_graph(w.model(w.quantized(w.node("Reshape", x, shape, output="y"), 0.25, 5)))
    assert graph.nodes[1].attributes["shape"] == (4, -1)


def test_refused() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("a", ["N", 3]), 0.25, 5)
    y = w.quantized(w.input("b", ["N", 4]), 0.25, 5)
    with pytest.raises(MalformedGraph, match=r"node 'node_y' \(Add\) with input shapes \?x3, \?x4: lengths 3 and 4"):
        load_graph(w.model(w.node("Add", x, y, output="y")))
    w = ModelWriter()
    x = w.quantized(w.input("a", ["N", 3]), 0.25, 5)
    with pytest.raises(UnsupportedOp, match="3 inputs; supported: two"):
        load_graph(w.model(w.node("Max", x, x, x, output="y")))
    w = ModelWriter()
    x = w.input("a", ["N", 3], TensorProto.INT32)
    with pytest.raises(UnsupportedOp, match="integer tensor; supported: reals between"):
        load_graph(w.model(w.node("Add", x, x, output="y")))
    w = ModelWriter()
    w.input("a", ["N", 3])
    zero = w.node("Div", w.constant(np.array([4])), w.constant(np.array([0])), output="y")
    with pytest.raises(MalformedGraph, match="divides by zero"):
        load_graph(w.model(zero))
