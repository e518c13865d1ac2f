from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from intsim.errors import MalformedGraph
from intsim.importers import load_graph
from intsim.importers.onnx.onnx_node import OnnxNode


def model(*nodes: Any, opset: int = 21, initializers: Any = ()) -> ModelProto:
    """A float graph from x[1, 3, 4, 4] to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 4, 4))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", [x], [y], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def made(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs, **attributes)


def floats(name: str, shape: tuple[int, ...], value: float = 1.0) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, shape, np.full(shape, value, np.float32).reshape(-1))


NOT_FINITE = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize(
    ("op", "attribute"), [("LeakyRelu", "alpha"), ("HardSigmoid", "alpha"), ("HardSigmoid", "beta")]
)
def test_attributes_are_finite(op: str, attribute: str, value: float) -> None:
    with pytest.raises(MalformedGraph, match=f"attribute {attribute} must be a finite number, not {value}"):
        load_graph(model(made(op, ["x"], ["y"], **{attribute: value})))


@pytest.mark.parametrize("value", NOT_FINITE)
def test_attributes_of_layers_with_parameters_are_finite(value: float) -> None:
    names = ["scale", "B", "mean", "var"]
    parameters = [floats(name, (3,)) for name in names]
    with pytest.raises(MalformedGraph, match="attribute epsilon must be a finite number"):
        load_graph(model(made("BatchNormalization", ["x", *names], ["y"], epsilon=value), initializers=parameters))
    for attribute in ("alpha", "beta"):
        flat = made("Flatten", ["x"], ["f"])
        gemm = made("Gemm", ["f", "w", "c"], ["y"], **{attribute: value})
        with pytest.raises(MalformedGraph, match=f"attribute {attribute} must be a finite number"):
            load_graph(model(flat, gemm, initializers=[floats("w", (48, 2)), floats("c", (2,))]))


@pytest.mark.parametrize("opset", [10, 13])
def test_a_bound_of_clip_is_finite_or_none(opset: int) -> None:
    def clip(name: str, value: float) -> ModelProto:
        if opset < 11:
            return model(made("Clip", ["x"], ["y"], **{name: value}), opset=opset)
        inputs = ["x", "b"] if name == "min" else ["x", "", "b"]
        return model(made("Clip", inputs, ["y"]), opset=opset, initializers=[floats("b", (), value)])

    for name, none in (("min", -math.inf), ("max", math.inf)):
        (node,) = load_graph(clip(name, none)).nodes
        assert node.attributes == {}
        (node,) = load_graph(clip(name, 0.5)).nodes
        assert node.attributes == {name: 0.5}
        for value in (math.nan, -none):
            with pytest.raises(MalformedGraph, match=rf"{name}.* must be a .*number, not {value}"):
                load_graph(clip(name, value))


def test_reals_are_padded_with_a_number_or_an_infinity() -> None:
    def pad(value: float) -> ModelProto:
        pads = [0, 0, 1, 1, 0, 0, 1, 1]
        sizes = helper.make_tensor("p", TensorProto.INT64, (8,), pads)
        return model(made("Pad", ["x", "p", "v"], ["y"]), opset=13, initializers=[sizes, floats("v", (), value)])

    (node,) = load_graph(pad(-math.inf)).nodes
    assert node.attributes["value"] == -math.inf
    with pytest.raises(MalformedGraph, match=r"input 2 \(value\) must be a number, not nan"):
        load_graph(pad(math.nan))


@pytest.mark.parametrize("name", ["value", "value_float", "value_floats", "value_int", "value_ints"])
@pytest.mark.parametrize("value", [5, "a", 1.5, [1, 2], [1.5], [math.nan], math.nan])
def test_a_constant_of_another_kind_is_one_error(name: str, value: Any) -> None:
    right = {"value_float": float, "value_int": int, "value_floats": list, "value_ints": list}.get(name)
    inner = value[0] if isinstance(value, list) else value
    fits = right is type(value) and type(inner) is (float if "float" in name else int) and inner == inner
    nodes = [made("Constant", [], ["c"], **{name: value}), made("Clip", ["x", "c"], ["y"])]
    if not fits:
        with pytest.raises(MalformedGraph, match=f"{name} must be"):
            load_graph(model(*nodes))


def test_what_attributes_hold() -> None:
    node = OnnxNode("n", "Op", "", (), (), {"r": 0.5, "rs": (1.0, math.inf), "is": (1, 2), "i": 3}, {})
    assert node.real("r", 1.0) == 0.5 and node.real("missing", 0.1) == float(np.float32(0.1))
    assert node.reals("rs") == (1.0, math.inf) and node.reals("missing") is None
    assert node.integers("is") == (1, 2) and node.integer("i", 0) == 3 and node.tensor("missing") is None
    with pytest.raises(MalformedGraph, match="attribute r must be a tensor"):
        node.tensor("r")
