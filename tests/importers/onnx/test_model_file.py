"""Broken and hostile model files: each gives one line that says what is wrong where."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp, UnusableInput
from intsim.importers import load_graph
from intsim.importers.onnx import builder
from tests.importers.onnx.models import NEWEST, ModelWriter, f32, small_cnn


def changed(change: Callable[[ModelProto], Any]) -> ModelProto:
    """The small network with one thing wrong."""
    model = small_cnn()
    change(model)
    return model


def node(model: ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.name == name)


def initializer(model: ModelProto, name: str) -> TensorProto:
    return next(t for t in model.graph.initializer if t.name == name)


def scale_of(model: ModelProto, value: float) -> None:
    initializer(model, "c1").CopyFrom(onnx.numpy_helper.from_array(f32(value), "c1"))


def cycle(model: ModelProto) -> None:
    node(model, "node_conv").input[0] = "gemm_q_dq"


def declare(model: ModelProto, name: str, dims: list[int], kind: int = TensorProto.FLOAT) -> None:
    initializer(model, name).CopyFrom(TensorProto(name=name, dims=dims, data_type=kind))


def function(model: ModelProto) -> None:
    """A function of the model that calls itself."""
    made = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="own")], [helper.make_opsetid("own", 1)]
    )
    model.functions.append(made)
    model.opset_import.append(helper.make_opsetid("own", 1))
    node(model, "node_relu").domain, node(model, "node_relu").op_type = "own", "F"


MALFORMED: dict[str, tuple[Callable[[ModelProto], Any], type[IntsimError], str]] = {
    "cycle": (
        cycle,
        MalformedGraph,
        "the graph has a cycle: 'node_conv' -> 'node_relu' -> 'node_relu_q' -> .* -> …",
    ),
    "dangling input": (
        lambda m: node(m, "node_relu").input.__setitem__(0, "nowhere"),
        MalformedGraph,
        r"node 'node_relu' \(Relu\): reads 'nowhere', which nothing in the model makes",
    ),
    "dangling output": (
        lambda m: m.graph.output.add(name="nowhere"),
        MalformedGraph,
        "output 'nowhere' of the graph: nothing in the model makes it",
    ),
    "no output": (lambda m: m.graph.ClearField("output"), MalformedGraph, "the graph has no output"),
    "output twice": (lambda m: m.graph.output.add(name="gemm_q_dq"), MalformedGraph, "two outputs .* same name"),
    "made twice": (
        lambda m: node(m, "node_relu").output.__setitem__(0, "conv"),
        MalformedGraph,
        r"node 'node_relu' \(Relu\): makes 'conv', which node 'node_conv' \(Conv\) already is or makes",
    ),
    "made from nothing": (
        lambda m: node(m, "node_conv").output.__setitem__(0, ""),
        MalformedGraph,
        "no.* makes|output",
    ),
    "missing scale": (
        lambda m: node(m, "node_x_q").input.__setitem__(1, ""),
        MalformedGraph,
        r"node 'node_x_q' \(QuantizeLinear\): input 1 \(scale\) is missing",
    ),
    "no scale at all": (
        lambda m: node(m, "node_x_q").input.__delitem__(slice(1, 3)),
        MalformedGraph,
        r"node 'node_x_q' \(QuantizeLinear\): input 1 \(scale\) is missing",
    ),
    "zero scale": (
        lambda m: scale_of(m, 0.0),
        MalformedGraph,
        r"node 'node_x_q' \(QuantizeLinear\): scale must be positive and finite, not 0.0",
    ),
    "NaN scale": (lambda m: scale_of(m, np.nan), MalformedGraph, "scale must be positive and finite, not nan"),
    "negative scale": (lambda m: scale_of(m, -0.5), MalformedGraph, "scale must be positive and finite, not -0.5"),
    "wrong rank": (
        lambda m: m.graph.input[0].type.tensor_type.shape.dim.pop(),
        MalformedGraph,
        r"node 'node_conv' \(Conv\): w must have the rank of x \(3\)",
    ),
    "unknown op": (
        lambda m: setattr(node(m, "node_relu"), "op_type", "Gelu"),
        UnsupportedOp,
        r"node 'node_relu' \(Gelu\): this op is not supported; supported: Add, .*, Transpose, .*com.microsoft: .*QGemm",
    ),
    "an op that does not exist": (
        lambda m: setattr(node(m, "node_relu"), "op_type", "Frobnicate"),
        UnsupportedOp,
        r"node 'node_relu' \(Frobnicate\): this op is not supported; supported: Add, ",
    ),
    "unknown domain": (
        lambda m: setattr(node(m, "node_relu"), "domain", "com.example"),
        UnsupportedOp,
        r"node 'node_relu' \(com.example.Relu\): domain 'com.example' is not supported",
    ),
    "opset too new": (
        lambda m: setattr(m.opset_import[0], "version", NEWEST + 1),
        UnsupportedOp,
        rf"opset {NEWEST + 1} is newer than onnx .* knows \({NEWEST}\)",
    ),
    "opset too old": (lambda m: setattr(m.opset_import[0], "version", 9), UnsupportedOp, "opset 9 is too old, 10 to"),
    "no opset": (lambda m: m.ClearField("opset_import"), MalformedGraph, "imports no opset of the default domain"),
    "missing attribute": (
        lambda m: node(m, "node_pool").ClearField("attribute"),
        MalformedGraph,
        r"node 'node_pool' \(MaxPool\): attribute kernel_shape is missing",
    ),
    "attribute of another type": (
        lambda m: node(m, "node_pool").attribute[0].CopyFrom(helper.make_attribute("kernel_shape", "3x3")),
        MalformedGraph,
        "attribute kernel_shape must be a list of integers",
    ),
    "attribute that ONNX does not know": (
        lambda m: node(m, "node_pool").attribute.append(helper.make_attribute("nonsense", 1)),
        MalformedGraph,
        "breaks ONNX's rules.*nonsense",
    ),
    "a graph in an attribute": (
        lambda m: node(m, "node_relu").attribute.append(helper.make_attribute("body", m.graph)),
        UnsupportedOp,
        "attribute 'body' is of type graph; supported: int, float",
    ),
    "terabytes of nothing": (
        lambda m: declare(m, "w", [2**20, 2**20, 3, 3]),
        MalformedGraph,
        r"initializer 'w': 0 values in float_data, but float32\[1048576,1048576,3,3\] needs",
    ),
    "more elements than numbers": (
        lambda m: declare(m, "w", [2**62, 2**62, 2**62]),
        MalformedGraph,
        "initializer 'w': 0 values",
    ),
    "raw data too short": (
        lambda m: setattr(initializer(m, "c1"), "raw_data", b"\0\0\0"),
        MalformedGraph,
        "initializer 'c1': 3 bytes of data, but float32.* needs 4",
    ),
    "negative length": (lambda m: declare(m, "w", [-1, 2, 3, 3]), MalformedGraph, "'w': shape .* negative length"),
    "unknown element type": (
        lambda m: declare(m, "w", [0], 99),
        MalformedGraph,
        "initializer 'w': element type 99 does not exist",
    ),
    "strings": (
        lambda m: declare(m, "w", [0], TensorProto.STRING),
        UnsupportedOp,
        "initializer 'w': element type string is not supported; codes are int2, ",
    ),
    "sparse initializer": (
        lambda m: m.graph.sparse_initializer.add(),
        UnsupportedOp,
        "is sparse, which is not supported",
    ),
    "initializer twice": (
        lambda m: m.graph.initializer.append(initializer(m, "w")),
        MalformedGraph,
        "initializer 'w': the name is empty or taken",
    ),
    "input without shape": (
        lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
        UnsupportedOp,
        "input 'x' of the graph has no shape",
    ),
    "input of length 0": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 0),
        MalformedGraph,
        "input 'x' of the graph: axis 2 has length 0",
    ),
    "input of another type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.INT64),
        MalformedGraph,
        "input 'x' of the graph: element type int64; supported: float32, int2",
    ),
    "a sequence as input": (
        lambda m: m.graph.input[0].type.sequence_type.SetInParent(),
        UnsupportedOp,
        "input 'x' of the graph must be a tensor",
    ),
    "a function that calls itself": (function, MalformedGraph, "function 'F' of domain 'own' calls itself"),
    "text that is no text": (
        lambda m: m.graph.ParseFromString(m.graph.SerializeToString().replace(b"node_relu", b"node_\xff\xfe\xfd\xfc")),
        MalformedGraph,
        "NodeProto.name .* is not UTF-8 text",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    change, error, message = MALFORMED[name]
    with pytest.raises(error, match=message) as caught:
        load_graph(changed(change).SerializeToString())
    assert "\n" not in str(caught.value)


def test_the_unbroken_network_loads() -> None:
    assert load_graph(changed(lambda m: None)).nodes


def test_truncated_everywhere() -> None:
    data = small_cnn().SerializeToString()
    for length in range(0, len(data), 7):
        with pytest.raises(IntsimError):
            load_graph(data[:length])


def test_nodes_out_of_order_are_sorted() -> None:
    model = small_cnn()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert [n.op for n in load_graph(model).nodes] == [n.op for n in load_graph(small_cnn()).nodes]


def test_functions_of_the_model_are_inlined() -> None:
    model = small_cnn()
    body = [helper.make_node("Relu", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 21)]
    model.functions.append(helper.make_function("own", "MyRelu", ["a"], ["b"], body, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    node(model, "node_relu").domain, node(model, "node_relu").op_type = "own", "MyRelu"
    assert [n.op for n in load_graph(model).nodes] == [n.op for n in load_graph(small_cnn()).nodes]


def test_functions_that_would_fill_the_memory() -> None:
    """Each calls the next one twice: 2**40 nodes."""
    model = small_cnn()
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    for i in range(40):
        nodes = [helper.make_node(f"F{i + 1}", [a], [b], domain="own") for a, b in (("a", "m"), ("m", "b"))]
        model.functions.append(helper.make_function("own", f"F{i}", ["a"], ["b"], nodes, opsets))
    last = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("own", "F40", ["a"], ["b"], last, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    node(model, "node_relu").domain, node(model, "node_relu").op_type = "own", "F0"
    with pytest.raises(UnsupportedOp, match="the model's functions become 1099511627793 nodes"):
        load_graph(model)


def test_functions_that_would_fill_the_stack() -> None:
    model = small_cnn()
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
    for i in range(3000):
        call = helper.make_node(f"F{i + 1}", ["a"], ["b"], domain="own")
        model.functions.append(helper.make_function("own", f"F{i}", ["a"], ["b"], [call], opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    node(model, "node_relu").domain, node(model, "node_relu").op_type = "own", "F0"
    with pytest.raises(UnsupportedOp, match="nested deeper than 100"):
        load_graph(model)


def test_initializers_that_are_listed_as_inputs_are_constants() -> None:
    model = small_cnn()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    assert load_graph(model).inputs == ("x",)


def test_a_path_a_str_bytes_and_a_parsed_model_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(small_cnn().SerializeToString(deterministic=True))
    graphs = [load_graph(s) for s in (path, str(path), path.read_bytes(), small_cnn())]
    assert len({g.digest for g in graphs}) == 1
    assert len({tuple(n.name for n in g.nodes) for g in graphs}) == 1


def test_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"cannot read .*nothing.onnx: No such file"):
        load_graph(tmp_path / "nothing.onnx")
    with pytest.raises(UnusableInput, match="is not a file"):
        load_graph(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableInput, match="is not a file"):
        load_graph(tmp_path / "pipe")
    (tmp_path / "text.onnx").write_text("This is no model at all.\n" * 50)
    with pytest.raises(MalformedGraph, match=r"text.onnx is not an ONNX model"):
        load_graph(tmp_path / "text.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(MalformedGraph, match="holds no graph"):
        load_graph(tmp_path / "empty.onnx")


def test_constants_that_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    w = ModelWriter()
    shape = w.constant(np.array([2**20, 2**20]))
    y = w.node("ConstantOfShape", shape)
    with pytest.raises(UnsupportedOp, match="makes a constant of 1099511627776 elements"):
        load_graph(w.model(w.node("Add", w.input("x", [1]), y)))
    monkeypatch.setattr(builder, "LARGEST_CONSTANTS", 1 << 20)
    w = ModelWriter()
    y = w.constant(np.zeros(1 << 10, np.float32))
    for _ in range(30):
        y = w.node("Concat", y, y, axis=0)
    with pytest.raises(UnsupportedOp, match="makes a constant of"):
        load_graph(w.model(w.node("Add", w.input("x", [1]), y)))


def test_opset_10_loads_where_nothing_stands_against_it() -> None:
    w = ModelWriter(10)
    x = w.quantized(w.input("x", ["N", 2, 4]), 0.5, 3)
    k = w.dequantized([[[1, 2, 3, 4]]], 0.25)
    w.nodes[-1].ClearField("attribute")
    assert [n.op for n in load_graph(w.model(w.quantized(w.node("Add", x, k), 0.5))).nodes][1] == "Add"
