"""The passes that rewrite the float network: each leaves its function as it was, by ONNX Runtime's word."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from intsim.errors import UnsupportedOp
from intsim.quantization.float_graph import FloatGraph
from intsim.quantization.fold_batchnorm import multiply_add
from intsim.quantization.post_training import fold
from intsim.quantization.prepare import prepare
from tests.models.builder import Builder
from tests.quantization.networks import batch_norm, images, residual, run, several, single

Array = np.ndarray[Any, Any]

# Folding moves roundings of float32: so much, relative to the largest output, is theirs. A wrong fold is off by 1e-2.
FLOAT32 = 2e-6


def folded(model: onnx.ModelProto) -> FloatGraph:
    graph = prepare(model, 8)
    fold(graph)
    return graph


def ops(graph: FloatGraph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def assert_same_function(model: onnx.ModelProto, graph: FloatGraph, x: Array) -> None:
    level = "ORT_DISABLE_ALL"
    for expected, found in zip(run(model, x, level=level), run(graph.to_model(), x, level=level), strict=True):
        assert np.max(np.abs(expected - found)) <= FLOAT32 * np.max(np.abs(expected))


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_batch_norm_goes_into_the_convolution() -> None:
    model = residual()
    graph = folded(model)
    assert ops(graph)["BatchNormalization"] == 0
    assert ops(graph)["Conv"] == 2
    assert_same_function(model, graph, images(5))


def test_batch_norm_by_hand() -> None:
    node = helper.make_node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], epsilon=1.0)
    constants = {"g": [2.0, 1.0], "b": [1.0, 0.0], "m": [3.0, -1.0], "v": [3.0, 0.0]}
    model = several([node], ["n", 2, 4, 4], {k: np.array(v, np.float32) for k, v in constants.items()})
    graph = prepare(model, 8)
    factor, offset = multiply_add(graph, graph.nodes[0])
    assert factor.tolist() == [1.0, 1.0]  # 2 / sqrt(3 + 1), 1 / sqrt(0 + 1)
    assert offset.tolist() == [-2.0, 1.0]  # 1 - 3 * 1, 0 + 1


@pytest.mark.parametrize("transposed", [0, 1])
def test_batch_norm_goes_into_the_fully_connected_layer(transposed: int) -> None:
    b = Builder(1, 17)
    weight = b.constant("w", random(4, 6) if transposed else random(6, 4))
    batch_norm(b, b.node("Gemm", ["x", weight, b.constant("c", random(4))], transB=transposed), "y", 4)
    model = b.model("dense", {"x": ["n", 6]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Gemm": 1}
    assert_same_function(model, graph, random(7, 6))


def test_batch_norm_of_a_matmul_without_bias() -> None:
    b = Builder(1, 17)
    batch_norm(b, b.node("MatMul", ["x", b.constant("w", random(6, 4))]), "y", 4)
    model = b.model("dense", {"x": ["n", 6]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Gemm": 1}
    assert_same_function(model, graph, random(7, 6))


@pytest.mark.parametrize(("shape", "expected"), [((3, 5), "Conv"), ((3, 5, 4), "Conv"), ((), "Mul Add")])
def test_batch_norm_with_nothing_before_it_is_its_own_layer(shape: tuple[int, ...], expected: str) -> None:
    b = Builder(2, 17)
    batch_norm(b, "x", "y", 3)
    model = b.model("alone", {"x": ["n", 3, *shape]}, ["y"])
    graph = folded(model)
    assert [node.op for node in graph.nodes] == expected.split()
    if expected == "Conv":
        assert graph.nodes[0].attributes["group"] == 3
        assert graph.nodes[0].attributes["kernel_shape"] == (1,) * len(shape)
    assert_same_function(model, graph, random(4, 3, *shape))


def test_batch_norm_is_not_folded_into_a_result_that_others_read() -> None:
    b = Builder(3, 17)
    x = b.conv("x", "conv", 2, 2)
    b.node("Add", [x, batch_norm(b, x, "bn", 2)], "y")
    model = b.model("shared", {"x": ["n", 2, 6, 6]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Conv": 2, "Add": 1}
    assert_same_function(model, graph, random(3, 2, 6, 6))


def test_batch_norm_is_not_folded_into_an_output_of_the_model() -> None:
    b = Builder(3, 17)
    x = b.conv("x", "conv", 2, 2)
    batch_norm(b, x, "y", 2)
    model = b.model("shared", {"x": ["n", 2, 6, 6]}, ["conv", "y"])
    graph = folded(model)
    assert ops(graph) == {"Conv": 2}
    assert_same_function(model, graph, random(3, 2, 6, 6))


def test_shared_weights_are_not_changed_for_the_other_reader() -> None:
    b = Builder(4, 17)
    w = b.constant("w", random(2, 2, 1, 1))
    first = batch_norm(b, b.node("Conv", ["x", w]), "bn", 2)
    b.node("Conv", [first, w], "y")
    model = b.model("shared", {"x": ["n", 2, 4, 4]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Conv": 2}
    assert_same_function(model, graph, random(3, 2, 4, 4))


def test_batch_norm_in_training_mode_is_refused() -> None:
    nodes = [helper.make_node("BatchNormalization", list("xgbmv"), ["y", "mm", "vv"], name="bn", training_mode=1)]
    model = several(nodes, ["n", 2, 4, 4], {k: np.ones(2, np.float32) for k in "gbmv"})
    with pytest.raises(UnsupportedOp, match=r"node 'bn' .*training mode"):
        folded(model)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 1, 1), (1,), ()])
def test_an_added_constant_goes_into_the_bias(shape: tuple[int, ...]) -> None:
    b = Builder(5, 17)
    x = b.conv("x", "conv", 2, 3, bias=True)
    b.node("Add", [b.constant("c", random(*shape)), x], "y")
    model = b.model("bias", {"x": ["n", 2, 4, 4]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Conv": 1}
    assert_same_function(model, graph, random(3, 2, 4, 4))


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3), (1, 3, 3, 3), (1, 1, 1, 3, 3)])
def test_a_constant_along_another_axis_stays_an_add(shape: tuple[int, ...]) -> None:
    b = Builder(5, 17)
    x = b.conv("x", "conv", 2, 3)
    b.node("Add", [x, b.constant("c", random(*shape))], "y")
    model = b.model("bias", {"x": ["n", 2, 3, 3]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Conv": 1, "Add": 1}
    assert_same_function(model, graph, random(3, 2, 3, 3))


def test_a_constant_that_makes_more_channels_stays_an_add() -> None:
    b = Builder(5, 17)
    x = b.conv("x", "conv", 2, 1)
    b.node("Add", [x, b.constant("c", random(3, 1, 1))], "y")
    model = b.model("bias", {"x": ["n", 2, 3, 3]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"Conv": 1, "Add": 1}
    assert_same_function(model, graph, random(3, 2, 3, 3))


def test_a_matmul_and_its_bias_become_one_layer_only_on_matrices() -> None:
    b = Builder(6, 17)
    x = b.node("MatMul", ["x", b.constant("w", random(6, 4))])
    b.node("Add", [x, b.constant("c", random(4))], "y")
    graph = folded(b.model("dense", {"x": ["n", 6]}, ["y"]))
    assert ops(graph) == {"Gemm": 1}
    model = b.model("dense", {"x": ["n", 5, 6]}, ["y"])
    graph = folded(model)
    assert ops(graph) == {"MatMul": 1, "Add": 1}
    assert_same_function(model, graph, random(3, 5, 6))


@pytest.mark.parametrize("attributes", [{"alpha": 0.5, "beta": 2.0}, {"transB": 1}, {"transA": 1, "alpha": -1.0}])
def test_gemm_in_one_form(attributes: dict[str, Any]) -> None:
    b = Builder(7, 17)
    weight = b.constant("w", random(4, 6) if attributes.get("transB") else random(6, 4))
    b.node("Gemm", ["x", weight, b.constant("c", random(1, 4))], "y", **attributes)
    batch = [6, 3] if attributes.get("transA") else [3, 6]
    model = b.model("dense", {"x": batch}, ["y"])
    graph = folded(model)
    gemm = graph.nodes[-1]
    assert gemm.attributes == {"transB": attributes.get("transB", 0)}
    assert graph.constants[gemm.inputs[2]].shape == (4,)
    assert_same_function(model, graph, random(*batch))


def test_gemm_whose_bias_differs_from_row_to_row_is_refused() -> None:
    model = several(
        [helper.make_node("Gemm", ["x", "w", "c"], ["y"], name="fc")], [3, 4], {"w": random(4, 4), "c": random(3, 1)}
    )
    with pytest.raises(UnsupportedOp, match=r"node 'fc' .*C must be one number for each of 4 outputs, not \[3, 1\]"):
        folded(model)


def padded(pads: list[int], readers: int = 1, **attributes: Any) -> onnx.ModelProto:
    b = Builder(8, 17)
    x = b.node("Pad", ["x", b.constant("pads", np.array(pads, np.int64))], "padded", **attributes)
    outputs = [
        b.node("Conv", [x, b.constant(f"w{i}", random(2, 2, 3, 3))], f"y{i}", pads=[1, 0, 0, 1]) for i in range(readers)
    ]
    return b.model("padded", {"x": ["n", 2, 6, 6]}, outputs)


@pytest.mark.parametrize("readers", [1, 2])
def test_a_pad_with_zeros_goes_into_the_convolutions(readers: int) -> None:
    model = padded([0, 0, 0, 2, 0, 0, 1, 3], readers)
    graph = folded(model)
    assert ops(graph) == {"Conv": readers}
    assert graph.nodes[0].attributes["pads"] == (1, 2, 1, 4)
    assert_same_function(model, graph, random(3, 2, 6, 6))


@pytest.mark.parametrize(
    ("pads", "attributes"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], {"mode": "reflect"}),
        ([0, 0, -1, 0, 0, 0, 0, 0], {}),  # a negative pad crops
        ([1, 0, 0, 0, 0, 0, 0, 0], {}),  # of the batch
    ],
)
def test_any_other_pad_stays(pads: list[int], attributes: dict[str, Any]) -> None:
    model = padded(pads, **attributes)
    graph = folded(model)
    assert ops(graph) == {"Pad": 1, "Conv": 1}
    assert_same_function(model, graph, random(3, 2, 6, 6))


def test_a_pad_that_a_pool_reads_too_stays() -> None:
    b = Builder(9, 17)
    x = b.node("Pad", ["x", b.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))], "padded")
    y = b.node("Conv", [x, b.constant("w", random(2, 2, 1, 1))], "y")
    z = b.node("MaxPool", [x], "z", kernel_shape=[1, 1])
    model = b.model("padded", {"x": ["n", 2, 6, 6]}, [y, z])
    graph = folded(model)
    assert ops(graph) == {"Pad": 1, "Conv": 1, "MaxPool": 1}
    assert_same_function(model, graph, random(3, 2, 6, 6))


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize(("keep", "expected"), [(1, ["GlobalAveragePool"]), (0, ["GlobalAveragePool", "Flatten"])])
@pytest.mark.parametrize("axes", [[2, 3], [-1, 2]])
def test_a_mean_over_all_pixels_is_a_pool(axes: list[int], keep: int, expected: list[str], opset: int) -> None:
    model = mean(axes, keep, opset)
    graph = folded(model)
    assert [node.op for node in graph.nodes] == expected
    assert_same_function(model, graph, random(3, 2, 4, 5))


@pytest.mark.parametrize("axes", [[1], [1, 2], [3], [1, 2, 3]])
def test_any_other_mean_stays(axes: list[int]) -> None:
    assert ops(folded(mean(axes, 1, 18))) == {"ReduceMean": 1}


def mean(axes: list[int], keep: int, opset: int) -> onnx.ModelProto:
    if opset < 18:
        return single("ReduceMean", ["n", 2, 4, 5], axes=axes, keepdims=keep, opset=opset)
    return single("ReduceMean", ["n", 2, 4, 5], {"axes": np.array(axes)}, ["x", "axes"], keepdims=keep, opset=opset)
