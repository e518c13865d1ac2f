from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp, UnusableInput
from intsim.quantization.placement import find_places
from intsim.quantization.prepare import prepare
from tests.quantization.networks import residual, several, single

ONES = np.ones((2, 2, 1, 1), np.float32)


def test_a_path_bytes_and_a_parsed_model_are_the_same(tmp_path: Path) -> None:
    model = residual()
    path = tmp_path / "float.onnx"
    onnx.save(model, path)
    graphs = [prepare(source, 8) for source in (model, path, path.read_bytes())]
    assert graphs[0].nodes == graphs[1].nodes == graphs[2].nodes
    assert graphs[0].input_shape == ("batch", 2, 8, 8)


@pytest.mark.parametrize(
    ("opset", "bits", "expected"),
    [(13, 8, 14), (14, 8, 14), (17, 8, 17), (17, 4, 21), (17, 16, 21), (22, 16, 22), (17, 2, 25), (27, 2, 27)],
)
def test_opset_is_kept_or_the_oldest_that_has_the_codes(opset: int, bits: int, expected: int) -> None:
    model = single("Relu", ["n", 2], opset=opset)
    assert prepare(model, bits).opset == expected


def test_metadata_outlives_the_conversion_of_the_opset() -> None:
    model = single("Relu", ["n", 2])
    helper.set_model_props(model, {"intsim.preprocess": "mean = 0"})
    assert prepare(model, 2).metadata == {"intsim.preprocess": "mean = 0"}


def test_shapes_know_what_depends_on_the_batch() -> None:
    graph = prepare(residual(), 8)
    assert graph.shapes["pool"] == (None, 4, 4, 4)
    assert graph.shapes["logits"] == (None, 3)
    assert prepare(single("Relu", [5, 2]), 8).shapes["y"] == (5, 2)


def test_a_computed_reshape_becomes_constant() -> None:
    """What PyTorch's exporter writes for x.view(x.size(0), -1)."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["shape", "zero"], ["length"]),
        helper.make_node("Unsqueeze", ["length", "axis"], ["first"]),
        helper.make_node("Concat", ["first", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"axis": np.array([0]), "rest": np.array([-1])}
    graph = prepare(several(nodes, ["n", 2, 3, 3], constants), 8)
    assert [node.op for node in graph.nodes] == ["Reshape"]
    assert graph.constants[graph.nodes[0].inputs[1]].tolist() == [-1, 18]


def halves(index: int) -> onnx.ModelProto:
    """x[:, : length // 2] of the axis whose length is asked for, as PyTorch's exporter writes chunk."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "index"], ["length"]),
        helper.make_node("Div", ["length", "two"], ["half"]),
        helper.make_node("Slice", ["x", "zero", "half", "index"], ["y"], name="cut"),
    ]
    return several(nodes, ["n", 6], {"index": np.array([index]), "two": np.array([2]), "zero": np.array([0])})


def test_arithmetic_on_lengths_is_folded_where_the_batch_makes_no_difference() -> None:
    graph = prepare(halves(1), 8)
    assert [node.op for node in graph.nodes] == ["Slice"]
    assert graph.constants["half"].tolist() == [3]


def test_lengths_that_follow_from_the_batch_stay() -> None:
    with pytest.raises(UnsupportedOp, match=r"node 'shape' .Shape.: cannot be quantized"):
        find_places(prepare(halves(0), 8))


def test_constant_subgraphs_are_folded() -> None:
    nodes = [
        helper.make_node("Mul", ["w", "two"], ["doubled"]),
        helper.make_node("Unsqueeze", ["doubled", "axes"], ["weight"]),
        helper.make_node("Conv", ["x", "weight"], ["y"]),
    ]
    constants = {"w": ONES[:, :, 0, 0], "two": np.float32(2), "axes": np.array([2, 3])}
    graph = prepare(several(nodes, ["n", 2, 4, 4], constants), 8)
    assert [node.op for node in graph.nodes] == ["Conv"]
    assert np.array_equal(graph.constants["weight"], 2 * ONES)
    assert set(graph.constants) == {"weight"}


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("ConstantOfShape", ["huge"], ["c"], name="bomb"),
        helper.make_node("Expand", ["one", "huge"], ["c"], name="bomb"),
        helper.make_node("Add", ["column", "row"], ["c"], name="bomb"),
    ],
)
def test_a_constant_that_would_fill_the_memory_is_refused(node: onnx.NodeProto) -> None:
    constants = {
        "huge": np.array([2**20, 2**20]),
        "one": np.ones(1, np.float32),
        "column": np.ones((2**15, 1), np.float32),
        "row": np.ones((1, 2**15), np.float32),
    }
    nodes = [node, helper.make_node("Add", ["x", "c"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "bomb",
        [helper.make_tensor_value_info("x", 1, ["n", 1])],
        [helper.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    with pytest.raises(UnsupportedOp, match=r"node 'bomb' .*constant of more than 268435456 numbers"):
        prepare(model, 8)


def quantized() -> onnx.ModelProto:
    constants = {"s": np.float32(1), "z": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="first"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    return several(nodes, ["n", 2], constants)


def two_inputs() -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(name, 1, ["n", 2]) for name in "ab"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])], "two", inputs, [helper.make_tensor_value_info("y", 1, ["n", 2])]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def half_precision() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "half",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT16, ["n", 2])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT16, ["n", 2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def nan_weight() -> onnx.ModelProto:
    weight = ONES.copy()
    weight[1, 0] = np.nan
    return single("Conv", ["n", 2, 4, 4], {"w": weight}, ["x", "w"])


def constant_output() -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Add", ["c", "c"], ["z"])]
    return several(nodes, ["n", 2], {"c": np.ones(2, np.float32)}, ["y", "z"])


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (quantized(), UnusableInput, "node 'first' .*quantized already; give the float model"),
        (two_inputs(), UnusableInput, "the model has 2 inputs; one is supported"),
        (half_precision(), UnusableInput, "input 'x' must be float32"),
        (single("Relu", ["n"]), UnusableInput, "with the batch first"),
        (nan_weight(), UnusableInput, r"node 'it' .*constant 'w' is nan at \(1, 0, 0, 0\)"),
        (constant_output(), UnusableInput, "output 'z' of the model is its input, or does not depend on it"),
        (b"no model", MalformedGraph, "not an ONNX model"),
        ("missing.onnx", UnusableInput, "cannot read missing.onnx"),
    ],
)
def test_unusable_models(model: onnx.ModelProto, error: type[IntsimError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        prepare(model, 8)
    assert "\n" not in str(caught.value)


def softmax_inside() -> onnx.ModelProto:
    nodes = [helper.make_node("Softmax", ["x"], ["p"], name="soft"), helper.make_node("Relu", ["p"], ["y"])]
    return several(nodes, ["n", 2])


UNSUPPORTED = {
    "node 'it' .Exp.: cannot be quantized; supported: Add": single("Exp", ["n", 2]),
    "node 'it' .ConvTranspose.: cannot be quantized": single("ConvTranspose", ["n", 2, 4, 4], {"w": ONES}, ["x", "w"]),
    "node 'soft' .Softmax.: is supported at the output of the model only": softmax_inside(),
    "node 'it' .Conv.: weight and bias must be constants": single("Conv", [2, 2, 1, 1], {}, ["x", "x"]),
    "node 'it' .PRelu.: all its inputs but the first must be constants": single("PRelu", ["n", 2], {}, ["x", "x"]),
    "node 'it' .PRelu.: its operands are constants": single(
        "PRelu", [1, 2], {"c": np.ones((1, 2), np.float32)}, ["c", "x"]
    ),
    "node 'it' .Resize.: mode 'linear' is not supported, nearest is": single(
        "Resize", ["n", 2, 4, 4], {"s": np.array([1, 1, 2, 2], np.float32)}, ["x", "", "s"], mode="linear"
    ),
    "node 'it' .MaxPool.: only its first output is supported": several(
        [helper.make_node("MaxPool", ["x"], ["y", "i"], name="it", kernel_shape=[2, 2])], ["n", 2, 4, 4]
    ),
}


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_what_cannot_be_quantized_is_named(message: str) -> None:
    with pytest.raises(UnsupportedOp, match=message):
        find_places(prepare(UNSUPPORTED[message], 8))
