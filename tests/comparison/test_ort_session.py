from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from intsim.comparison.ort_session import OrtSession
from intsim.errors import MissingDependency, UnsupportedOp, UnusableInput
from tests.models.photographs import photographs
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.resnet18 import resnet18
from tests.models.small import small, small_input

ort = pytest.importorskip("onnxruntime")

SIZE = 64
RESNET18 = [
    "qdq-u8-asymmetric-channel",
    "qdq-s8-asymmetric-tensor",
    "qdq-s8-symmetric-channel",
    "qoperator-u8-symmetric-tensor",
    "qoperator-s8-asymmetric-channel",
]
SMALL = ["conv_1d", "concat", "hard_swish", "average_pool_pads", "softmax", "excitation", "batch_norm", "split"]


@pytest.fixture(scope="module")
def prepared() -> onnx.ModelProto:
    return preprocess(resnet18(SIZE, width=0.25, classes=10))


@pytest.fixture(scope="module")
def images() -> NDArray[np.float32]:
    return photographs(SIZE)


def plain_session(model: onnx.ModelProto, level: str, profile: Path | None = None) -> Any:
    """ONNX Runtime as a user starts it for a signed or unsigned model, with nothing made visible."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.intra_op_num_threads = 1
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile / "profile")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def executed_ops(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]], folder: Path) -> Counter[str]:
    """The ops that a plain session ran, from ONNX Runtime's own profile."""
    session = plain_session(model, "ORT_ENABLE_EXTENDED", folder)
    session.run(None, dict(feeds))
    events = json.loads(Path(session.end_profiling()).read_text())
    return Counter(e["args"]["op_name"] for e in events if e["name"].endswith("_kernel_time"))


def assert_like_a_plain_session(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]], folder: Path) -> OrtSession:
    session = OrtSession(model.SerializeToString())
    tensors = session.run(feeds)
    for level in ("ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"):
        expected = plain_session(model, level).run(list(session.output_names), dict(feeds))
        for name, values in zip(session.output_names, expected, strict=True):
            np.testing.assert_array_equal(tensors[name], values, strict=True, err_msg=f"{name} at {level}")
    assert Counter(node.op_type for node in session.nodes) == executed_ops(model, feeds, folder)
    assert {name for node in session.nodes for name in node.outputs if name} <= tensors.keys()
    return session


@pytest.mark.parametrize("configuration", RESNET18)
def test_resnet18_runs_the_kernels_and_gives_the_outputs_of_a_plain_session(
    prepared: onnx.ModelProto, images: NDArray[np.float32], configuration: str, tmp_path: Path
) -> None:
    model = quantize(prepared, CONFIGURATIONS[configuration], images[:4])
    session = assert_like_a_plain_session(model, {"image": images[4:]}, tmp_path)
    ops = Counter(node.op_type for node in session.nodes)
    assert ops["QLinearConv"] == 20
    assert ops["QLinearAdd"] == 8


@pytest.mark.parametrize("form", ["qdq-u8-asymmetric-channel", "qdq-s8-symmetric-tensor"])
@pytest.mark.parametrize("name", SMALL)
def test_small_graphs_run_the_kernels_and_give_the_outputs_of_a_plain_session(
    name: str, form: str, tmp_path: Path
) -> None:
    samples = small_input(name)
    model = quantize(preprocess(small(name)), CONFIGURATIONS[form], samples)
    assert_like_a_plain_session(model, {"x": samples}, tmp_path)


@pytest.mark.parametrize(("activation", "dtype"), [("u8", np.uint8), ("s8", np.int8)])
def test_codes_keep_the_names_and_the_type_of_the_model(
    prepared: onnx.ModelProto, images: NDArray[np.float32], activation: str, dtype: type
) -> None:
    model = quantize(prepared, CONFIGURATIONS[f"qdq-{activation}-asymmetric-channel"], images[:4])
    tensors = OrtSession(model.SerializeToString()).run({"image": images[:1]})
    quantized = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(quantized) == 33
    assert {tensors[name].dtype for name in quantized} == {np.dtype(dtype)}


def test_a_path_and_bytes_give_the_same_nodes(prepared: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(prepared, path)
    assert OrtSession(path).nodes == OrtSession(str(path)).nodes == OrtSession(prepared.SerializeToString()).nodes
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_one_element_scales_of_rank_one_are_taken(tmp_path: Path) -> None:
    """As torch's TorchScript exporter writes them; ONNX Runtime alone refuses its QLinearAdd."""
    model = add_model(scale=np.array([0.5], np.float32), zero_point=np.array([3], np.uint8))
    a, b = np.array([[0.5, 1.0, 60.0]], np.float32), np.array([[1.0, -2.0, 70.0]], np.float32)
    with pytest.raises(Exception, match="must be a scalar"):
        plain_session(model, "ORT_ENABLE_EXTENDED")
    session = OrtSession(model.SerializeToString())
    assert [node.op_type for node in session.nodes].count("QLinearAdd") == 1
    codes = session.run({"a": a, "b": b})["sum_codes"]
    # 0.5 + 1.0 = 3 halves; 1.0 - 1.5 = -1 half, for -2.0 saturates at code 0; 60 + 70 saturates at code 255.
    np.testing.assert_array_equal(codes, np.array([[3 + 3, 3 - 1, 255]], np.uint8), strict=True)


def test_one_element_scales_behind_identity_and_constant_are_taken() -> None:
    model = add_model(scale=np.array([0.5], np.float32), zero_point=np.array([3], np.uint8))
    graph = model.graph
    (scale,) = [tensor for tensor in graph.initializer if tensor.name == "scale"]
    graph.initializer.remove(scale)
    graph.node.insert(0, helper.make_node("Constant", [], ["constant"], value=scale))
    graph.node.insert(1, helper.make_node("Identity", ["constant"], ["scale"]))
    ones = np.ones((1, 3), np.float32)
    codes = OrtSession(model.SerializeToString()).run({"a": ones, "b": ones})["sum_codes"]
    np.testing.assert_array_equal(codes, np.full((1, 3), 7, np.uint8), strict=True)


def add_model(scale: NDArray[np.float32], zero_point: NDArray[np.uint8]) -> onnx.ModelProto:
    """Two real inputs quantized, added and quantized again, all in one format."""
    nodes = []
    for name in ("a", "b"):
        nodes.append(helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}_codes"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}_codes", "scale", "zero"], [f"{name}_real"]))
    nodes.append(helper.make_node("Add", ["a_real", "b_real"], ["sum"]))
    nodes.append(helper.make_node("QuantizeLinear", ["sum", "scale", "zero"], ["sum_codes"]))
    nodes.append(helper.make_node("DequantizeLinear", ["sum_codes", "scale", "zero"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "add",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("a", "b")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(scale, "scale"), numpy_helper.from_array(zero_point, "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOp, match=r"^onnxruntime \S+ refuses the model: [^\n]+$"):
        OrtSession(b"this is not a model")
    with pytest.raises(UnsupportedOp, match=r"^onnxruntime \S+ refuses the model: [^\n]+$"):
        OrtSession(tmp_path / "missing.onnx")


def test_wrong_inputs_are_refused_in_one_line() -> None:
    session = OrtSession(add_model(np.array(0.5, np.float32), np.array(3, np.uint8)).SerializeToString())
    ones = np.ones((1, 3), np.float32)
    with pytest.raises(UnusableInput, match=r"missing \['b'\], unknown \['c'\]"):
        session.run({"a": ones, "c": ones})
    with pytest.raises(UnusableInput, match=r"^onnxruntime refuses the input: [^\n]+$"):
        session.run({"a": ones, "b": ones.astype(np.float64)})
    with pytest.raises(UnusableInput, match=r"^onnxruntime refuses the input: [^\n]+$"):
        session.run({"a": ones, "b": np.ones((1, 4), np.float32)})


def test_without_onnxruntime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"pip install intsim\[ort\]"):
        OrtSession(b"")


@pytest.mark.parametrize("kind", ["INT2", "UINT2", "INT4", "UINT4"])
def test_codes_that_numpy_has_no_type_for_come_in_8_bits(kind: str) -> None:
    signed, bits = kind.startswith("I"), int(kind[-1])
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    zero = helper.make_tensor("zero", getattr(TensorProto, kind), [], [1])
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"]),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["real"]),
        helper.make_node("MaxPool", ["real"], ["pooled"], kernel_shape=[1]),
        helper.make_node("QuantizeLinear", ["pooled", "scale", "zero"], ["again"]),
        helper.make_node("DequantizeLinear", ["again", "scale", "zero"], ["y"]),
    ]
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, 21]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "narrow", info[:1], info[1:], [scale, zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    session = OrtSession(model.SerializeToString())
    assert session.level == "ORT_ENABLE_BASIC"
    tensors = session.run({"x": np.arange(-10, 11, dtype=np.float32).reshape(1, 1, 21)})
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    expected = np.clip(2 * np.arange(-10, 11) + 1, low, high).astype(np.int8 if signed else np.uint8)
    for name in ("codes", "again"):
        np.testing.assert_array_equal(tensors[name], expected.reshape(1, 1, 21), strict=True)


def test_an_opset_that_is_too_new_for_it_is_named() -> None:
    model = onnx.ModelProto.FromString(small("conv").SerializeToString())
    model.opset_import[0].version = 27
    with pytest.raises(UnsupportedOp, match=r"the newest opset that it takes is 26: convert the model"):
        OrtSession(model.SerializeToString())
