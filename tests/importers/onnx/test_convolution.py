from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning

RANDOM = np.random.default_rng(3)


def conv_model(
    shape: Sequence[int | str] = ("N", 4, 7, 6),
    weights: Sequence[int] = (6, 4, 3, 2),
    bias: bool = True,
    **attributes: Any,
) -> ModelProto:
    w = ModelWriter()
    x = w.quantized(w.input("x", shape), 0.25, 5)
    scale = np.linspace(0.1, 0.3, weights[0]).astype(np.float32)
    inputs = [x, w.dequantized(RANDOM.integers(-128, 128, weights), scale, name="w")]
    if bias:
        codes = RANDOM.integers(-900, 900, weights[0])
        inputs.append(w.dequantized(codes, f32(0.25) * scale, 0, TensorProto.INT32, name="b"))
    return w.model(w.quantized(w.node("Conv", *inputs, output="y", **attributes), 3.0, 120))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3]},
        {"pads": [1, 0, 2, 1]},
        {"dilations": [2, 1], "pads": [2, 2, 2, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
        {"auto_pad": "VALID"},
        {"kernel_shape": [3, 2], "group": 1},
    ],
    ids=str,
)
def test_attributes(attributes: dict[str, Any]) -> None:
    same_meaning(conv_model(**attributes))


@pytest.mark.parametrize("group,weights", [(2, (6, 2, 3, 2)), (4, (8, 1, 3, 2)), (4, (4, 1, 1, 1))])
def test_groups(group: int, weights: Sequence[int]) -> None:
    graph = same_meaning(conv_model(weights=weights, group=group))
    assert graph.nodes[1].attributes["groups"] == group


def test_one_dimension() -> None:
    same_meaning(conv_model(("N", 3, 9), (5, 3, 4), pads=[2, 1], strides=[2]))


def test_without_bias() -> None:
    graph = same_meaning(conv_model(bias=False))
    assert len(graph.nodes[1].inputs) == 2


def test_unknown_spatial_lengths() -> None:
    graph = same_meaning(conv_model(("N", 4, "H", "H2"), (6, 4, 2, 2), auto_pad="SAME_UPPER"), images=5)
    assert graph.nodes[1].attributes["pads"] == (0, 0, 1, 1)
    assert graph.values["y_q"].shape == (None, 6, None, None)


def test_one_node_stands_for_three() -> None:
    graph = load_graph(conv_model())
    node = graph.nodes[1]
    assert (node.op, node.inputs, node.outputs) == ("Conv", ("x_q", "w", "b"), ("y_q",))
    assert node.sources == ("node_x_q_dq", "node_w_dq", "node_b_dq", "node_y", "node_y_q")
    weights, bias = graph.format("w"), graph.format("b")
    assert weights is not None
    assert bias is not None
    assert (weights.bits, weights.signed, weights.axis, len(weights.scale)) == (8, True, 0, 6)
    assert (bias.bits, bias.axis, len(bias.scale)) == (32, 0, 6)
    assert graph.constants["w"].dtype == np.int8
    assert not graph.constants["w"].flags.writeable


def test_conv_integer_puts_out_the_accumulator() -> None:
    w = ModelWriter()
    x = w.input("x", ["N", 2, 5, 5], TensorProto.UINT8)
    weights = w.constant(RANDOM.integers(-128, 128, (3, 2, 3, 3)), "w", TensorProto.INT8)
    zeros = w.constant(3, kind=TensorProto.UINT8), w.constant(0, kind=TensorProto.INT8)
    graph = same_meaning(w.model(w.node("ConvInteger", x, weights, *zeros, output="y", pads=[1, 1, 1, 1])))
    assert [n.op for n in graph.nodes] == ["Conv"]
    assert graph.nodes[0].attributes["raw_output"] is True
    x_format, y_format = graph.format("x"), graph.format("y")
    assert x_format is not None
    assert y_format is not None
    assert x_format.zero_point == (3,)
    assert (y_format.bits, y_format.scale) == (32, (1.0,))


@pytest.mark.parametrize(
    "model,error,reason",
    [
        (lambda: conv_model(("N", 4, 4, 4, 4), (6, 4, 1, 1, 1)), UnsupportedOp, "rank 5; supported: rank 3"),
        (lambda: conv_model(("N", 5, 7, 6)), MalformedGraph, "channels of x, channels of w times groups"),
        (lambda: conv_model(kernel_shape=[2, 2]), MalformedGraph, "kernel_shape"),
        (lambda: conv_model(("N", 4, 7), (6, 4, 3, 2)), MalformedGraph, "rank"),
        (lambda: conv_model(("N", 4, 2, 2)), MalformedGraph, "a window of 3 does not fit into 2"),
        (lambda: conv_model(group=5), MalformedGraph, "groups"),
        (lambda: conv_model(strides=[0, 1]), MalformedGraph, "strides"),
        (lambda: conv_model(strides=[1]), MalformedGraph, "strides"),
        (lambda: conv_model(pads=[-1, 0, 0, 0]), MalformedGraph, "pads"),
        (lambda: conv_model(auto_pad="SAME"), MalformedGraph, "auto_pad"),
        (lambda: conv_model(("N", 4, "H", 6), auto_pad="SAME_UPPER", strides=[2, 2]), UnsupportedOp, "known lengths"),
    ],
)
def test_refused(model: Any, error: type[IntsimError], reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        load_graph(model())
    assert "node 'node_y' (Conv)" in str(caught.value)
