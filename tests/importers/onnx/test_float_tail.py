from __future__ import annotations

import numpy as np

from intsim.graph import Graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning


def wiring(graph: Graph) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(n.op, n.inputs, n.outputs) for n in graph.nodes]


def test_softmax_reads_reals() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.5, 3)
    graph = same_meaning(w.model(w.node("Softmax", x, output="y")))
    assert wiring(graph)[1:] == [
        ("DequantizeLinear", ("x_q",), ("x_q#real",)),
        ("Softmax", ("x_q#real",), ("y",)),
    ]


def test_reals_that_are_an_output_already_are_used() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.5, 3)
    graph = same_meaning(w.model(w.node("Softmax", x, output="y"), x))
    assert wiring(graph)[1:] == [("DequantizeLinear", ("x_q",), ("x_q_dq",)), ("Softmax", ("x_q_dq",), ("y",))]


def test_data_movement_before_the_tail_moves_codes() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3, 2]), 0.5, 3)
    graph = same_meaning(w.model(w.node("Softmax", w.node("Flatten", x, output="f"), output="y")))
    assert [op for op, _, _ in wiring(graph)] == ["QuantizeLinear", "Flatten", "DequantizeLinear", "Softmax"]
    assert graph.format("f") == graph.format("x_q")


def test_constants_of_the_tail_are_real() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.5, 3)
    y = w.node("Mul", w.node("Sigmoid", x), w.dequantized([1, 2, 3], 0.25, name="k"), output="y")
    graph = same_meaning(w.model(y))
    name = graph.nodes[-1].inputs[1]
    assert graph.format(name) is None
    np.testing.assert_array_equal(graph.constants[name], f32([0.25, 0.5, 0.75]))


def test_an_island_is_no_tail() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.5, 3)
    graph = same_meaning(w.model(w.quantized(w.node("Tanh", w.node("Sigmoid", x, output="s"), output="y"), 0.1)))
    assert wiring(graph)[1:3] == [("Sigmoid", ("x_q",), ("s",)), ("Tanh", ("s",), ("y_q",))]
