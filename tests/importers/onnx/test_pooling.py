from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning


def pool(
    op: str, *axes: int, shape: tuple[Any, ...] = ("N", 2, 7, 6), scale: float = 0.5, opset: int = 21, **attributes: Any
) -> ModelProto:
    w = ModelWriter(opset)
    x = w.quantized(w.input("x", shape), 0.25, 30)
    extra = [w.constant(np.array(axes))] if axes else []
    return w.model(w.quantized(w.node(op, x, *extra, output="y", **attributes), scale, 40))


WINDOWS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [2, 3], "pads": [1, 1, 0, 0], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 2], "dilations": [3, 2]},
]


@pytest.mark.parametrize("attributes", WINDOWS, ids=str)
def test_max_pool(attributes: dict[str, Any]) -> None:
    same_meaning(pool("MaxPool", **attributes))
    same_meaning(pool("MaxPool", scale=0.25, **attributes))


@pytest.mark.parametrize("count_include_pad", [0, 1])
@pytest.mark.parametrize("attributes", WINDOWS, ids=str)
def test_average_pool(attributes: dict[str, Any], count_include_pad: int) -> None:
    graph = same_meaning(pool("AveragePool", count_include_pad=count_include_pad, **attributes))
    assert graph.nodes[1].attributes["count_include_pad"] is bool(count_include_pad)


def test_one_dimension() -> None:
    same_meaning(pool("MaxPool", shape=("N", 2, 9), kernel_shape=[3], strides=[2], pads=[1, 0]))
    same_meaning(pool("AveragePool", shape=("N", 2, 9), kernel_shape=[3], strides=[2], pads=[1, 0]))


def test_max_pool_without_a_quantizer_and_of_integers_keeps_the_codes() -> None:
    w = ModelWriter()
    s, z = w.constant(f32(0.5)), w.constant(9, kind=TensorProto.UINT8)
    codes = w.node("QuantizeLinear", w.input("x", ["N", 1, 4, 4]), s, z, output="q")
    first = w.node("MaxPool", codes, output="first", kernel_shape=[2, 2])
    second = w.node("MaxPool", w.node("DequantizeLinear", first, s, z), output="second", kernel_shape=[2, 2])
    graph = same_meaning(w.model(w.node("Relu", second, output="y")))
    assert graph.format("first") == graph.format("second") == graph.format("q")


def test_global_average_pool() -> None:
    graph = same_meaning(pool("GlobalAveragePool"))
    assert graph.values["y_q"].shape == (None, 2, 1, 1)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1,), (1, -1), ()], ids=str)
def test_reduce_mean(axes: tuple[int, ...], keepdims: int) -> None:
    graph = same_meaning(pool("ReduceMean", *axes, keepdims=keepdims))
    expected = tuple(sorted(a % 4 for a in axes)) if axes else (0, 1, 2, 3)
    assert graph.nodes[1].attributes == {"axes": expected, "keepdims": bool(keepdims)}


@pytest.mark.parametrize("scale", [0.5, 0.25])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", [(2, 3), (-1,), (1, -1), ()], ids=str)
def test_reduce_max(axes: tuple[int, ...], keepdims: int, scale: float) -> None:
    graph = same_meaning(pool("ReduceMax", *axes, scale=scale, keepdims=keepdims))
    expected = tuple(sorted(a % 4 for a in axes)) if axes else (0, 1, 2, 3)
    assert graph.nodes[1].attributes["axes"] == expected
    assert load_graph(pool("ReduceMax", opset=13, axes=[-1])).nodes[1].attributes["axes"] == (3,)


def test_reduce_max_of_an_input_and_without_a_quantizer() -> None:
    """The input is quantized first, and what no quantizer follows still is the input's codes."""
    w = ModelWriter(13)
    first = w.quantized(w.node("ReduceMax", w.input("x", ["N", 3, 4, 4]), output="m", keepdims=1, axes=[3]), 0.5, 9)
    second = w.node("ReduceMax", first, output="second", keepdims=0, axes=[1, 2])
    graph = same_meaning(w.model(w.node("Relu", second, output="y")))
    assert [n.op for n in graph.nodes][:2] == ["QuantizeLinear", "ReduceMax"]
    assert graph.format("second") == graph.format("m_q")


def test_reduce_max_of_constants() -> None:
    w = ModelWriter(13)
    codes = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    largest = w.node(
        "ReduceMax", w.dequantized(codes, 0.5, 7, TensorProto.UINT8, "k"), keepdims=0, axes=[0, 2], output="largest"
    )
    y = w.node("Mul", w.quantized(w.input("x", ["N", 3]), 0.5, 7), largest, output="y")
    graph = same_meaning(w.model(w.quantized(y, 0.5, 7)))
    assert [c.tolist() for c in graph.constants.values() if c.dtype == np.uint8] == [[15, 19, 23]]


def test_the_axis_of_channels_moves_where_one_before_it_is_reduced() -> None:
    w = ModelWriter(13)
    codes = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    k = w.dequantized(codes, f32([0.5, 0.25, 2]), name="k", axis=1)
    largest = w.node("ReduceMax", k, keepdims=0, axes=[0, 2], output="largest")
    y = w.node("Mul", w.quantized(w.input("x", ["N", 3]), 0.5, 7), largest, output="y")
    format = same_meaning(w.model(w.quantized(y, 0.5, 7))).format("largest")
    assert format is not None
    assert (format.axis, format.scale) == (0, (0.5, 0.25, 2))


def test_reduce_mean_of_opset_13_has_an_attribute() -> None:
    assert load_graph(pool("ReduceMean", opset=13, axes=[-1])).nodes[1].attributes["axes"] == (3,)


@pytest.mark.parametrize(
    "model,error,reason",
    [
        (lambda: pool("MaxPool"), MalformedGraph, "kernel_shape"),
        (lambda: pool("MaxPool", kernel_shape=[0, 2]), MalformedGraph, "positive lengths"),
        (lambda: pool("MaxPool", kernel_shape=[8, 2]), MalformedGraph, "does not fit into 7"),
        (lambda: pool("MaxPool", kernel_shape=[2, 2], pads=[2, 0, 0, 0]), MalformedGraph, "nothing but padding"),
        (lambda: pool("AveragePool", kernel_shape=[1] * 3, shape=("N", 1, 4, 4, 4)), UnsupportedOp, "rank 5"),
        (lambda: pool("GlobalAveragePool", shape=("N", 2)), MalformedGraph, "rank 3 or more"),
        (lambda: pool("ReduceMean", 4), MalformedGraph, "axis 4 is outside"),
        (lambda: pool("ReduceMean", 1, -3), MalformedGraph, "name one twice"),
        (lambda: pool("ReduceMax", 4), MalformedGraph, "axis 4 is outside"),
        (lambda: pool("ReduceMax", noop_with_empty_axes=1), UnsupportedOp, "noop_with_empty_axes"),
        (lambda: pool("ReduceMean", noop_with_empty_axes=1), UnsupportedOp, "noop_with_empty_axes"),
    ],
)
def test_refused(model: Any, error: type[IntsimError], reason: str) -> None:
    with pytest.raises(error, match=reason):
        load_graph(model())


def test_indices_that_are_read_are_refused() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 1, 4, 4]), 0.25, 30)
    y = w.node("MaxPool", x, output="y", kernel_shape=[2, 2])
    w.nodes[-1].output.append("indices")
    with pytest.raises(UnsupportedOp, match="Indices"):
        load_graph(w.model(y, "indices"))
    assert load_graph(w.model(y)).nodes[1].outputs == ("y#codes",)
