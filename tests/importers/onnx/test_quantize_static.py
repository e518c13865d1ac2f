"""What onnxruntime.quantization.quantize_static writes, in each of its configurations."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest

from intsim.graph import Graph
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize

RANDOM = np.random.default_rng(6)


@cache
def float_network() -> onnx.ModelProto:
    """conv, clip, depthwise conv, relu, max pool, add, concat, average pools, sigmoid, mul, flatten, gemm."""
    w = ModelWriter(17)

    def conv(x: str, name: str, shape: tuple[int, ...], **attributes: Any) -> str:
        weights = w.constant(f32(RANDOM.normal(0, 0.3, shape)), f"{name}.w")
        bias = w.constant(f32(RANDOM.normal(0, 0.3, shape[0])), f"{name}.b")
        return w.node("Conv", x, weights, bias, output=name, **attributes)

    x = w.input("x", ["N", 3, 8, 8])
    x = w.node("Clip", conv(x, "conv_1", (4, 3, 3, 3), pads=[1, 1, 1, 1]), w.constant(f32(0)), w.constant(f32(6)))
    x = w.node("Relu", conv(x, "conv_2", (4, 1, 3, 3), group=4, pads=[1, 1, 1, 1]))
    x = w.node("MaxPool", x, output="pooled", kernel_shape=[2, 2], strides=[2, 2])
    x = w.node("Add", conv(x, "conv_3", (4, 4, 1, 1)), x, output="sum")
    x = w.node("Concat", x, conv(x, "conv_4", (2, 4, 1, 1)), output="both", axis=1)
    x = w.node("AveragePool", x, output="average", kernel_shape=[2, 2])
    gate = w.node("Sigmoid", w.node("GlobalAveragePool", x), output="gate")
    x = w.node("Flatten", w.node("GlobalAveragePool", w.node("Mul", x, gate, output="gated")), output="flat")
    weights, bias = w.constant(f32(RANDOM.normal(0, 1, (5, 6)))), w.constant(f32(RANDOM.normal(0, 1, 5)))
    model = w.model(w.node("Gemm", x, weights, bias, output="y", transB=1))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 5]))
    return preprocess(model)


@cache
def quantized(name: str) -> onnx.ModelProto:
    images = np.random.default_rng(7).normal(0, 1, (4, 3, 8, 8)).astype(np.float32)
    return quantize(float_network(), CONFIGURATIONS[name], images)


QDQ = [n for n in CONFIGURATIONS if n.startswith("qdq")]
QOPERATOR = [n for n in CONFIGURATIONS if n.startswith("qoperator")]


@pytest.mark.parametrize("name", QDQ)
def test_qdq_means_what_onnx_says(name: str) -> None:
    graph = same_meaning(quantized(name), spread=1.0, opset=17)
    assert_all_is_quantized(graph)


@pytest.mark.parametrize("name", QOPERATOR)
def test_qoperator_is_the_same_network(name: str) -> None:
    """The layers and weights of the QDQ form. (Formats of some activations differ: QDQ aligns those around MaxPool.)"""
    graph, other = load_graph(quantized(name)), load_graph(quantized(name.replace("qoperator", "qdq")))
    assert_all_is_quantized(graph)
    ops = ("Conv", "Gemm", "Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid")
    pairs = [[n for n in g.nodes if n.op in ops] for g in (graph, other)]
    assert [n.op for n in pairs[0]] == [n.op for n in pairs[1]]
    for node, twin in zip(*pairs, strict=True):
        assert node.attributes == {**twin.attributes, "integer_kernel": True}
        for a, b in zip(node.inputs[1:2], twin.inputs[1:2], strict=True):
            # Per channel, the QOperator form has int8 weights where uint8 is asked for.
            if a in graph.constants and name != "qoperator-u8-asymmetric-channel-w_u8":
                assert graph.format(a) == other.format(b)
                np.testing.assert_array_equal(graph.constants[a], other.constants[b])


def assert_all_is_quantized(graph: Graph) -> None:
    """Only the input and the output are real."""
    reals = {name for name, value in graph.values.items() if value.format is None}
    assert reals == {"x", "y"}
