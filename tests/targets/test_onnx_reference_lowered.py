"""onnx's ReferenceEvaluator judges the target `onnx-reference`: whole small models, every code, tolerance zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import intsim
from intsim.importers import load_graph
from intsim.lowering import lower
from intsim.target import TARGETS

Array = np.ndarray[Any, Any]
OPSET = 19


def model(
    nodes: list[Any], constants: dict[str, Any], x: tuple[Any, list[Any]], y: tuple[Any, list[Any]]
) -> ModelProto:
    """A model of these nodes from x to y, (type, shape) each."""
    graph = helper.make_graph(
        nodes,
        "judged",
        [helper.make_tensor_value_info("x", *x)],
        [helper.make_tensor_value_info("y", *y)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def evaluated(proto: ModelProto, x: Array) -> Array:
    """What the ReferenceEvaluator makes of x."""
    results: Any = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: x})
    return np.asarray(results[0])


def judged(proto: ModelProto, x: Array) -> tuple[Array, Array]:
    """What intsim and the ReferenceEvaluator make of x."""
    ours = intsim.load(proto, "onnx-reference")
    result, spec = (ours.run(x, engine=engine).outputs["y"].values for engine in ("kernels", "spec"))
    assert np.array_equal(result, spec)
    return result, evaluated(proto, x)


# products of scales over the output's: halves and quarters, so that ties are many; zero points odd and even
SCALES = [(0.5, 0.5, 0.5), (0.25, 0.5, 1.0), (0.1, 0.02, 0.3), (0.007, 0.9, 0.11)]
ZEROS = [(3, 1, 7), (0, 0, 1), (128, 1, 255), (17, -3, 100)]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("channels", [False, True])
def test_qlinearconv(scales: tuple[float, ...], zeros: tuple[int, ...], channels: bool) -> None:
    rng = np.random.default_rng(1)
    w_scale = np.array([scales[1], scales[1] / 2, 0.3], np.float32) if channels else np.float32(scales[1])
    w_zero = np.full(3, zeros[1], np.int8) if channels else np.int8(zeros[1])
    constants = {
        "xs": np.float32(scales[0]),
        "xz": np.uint8(zeros[0]),
        "w": rng.integers(-4, 5, (3, 2, 3, 3)).astype(np.int8),
        "ws": w_scale,
        "wz": w_zero,
        "ys": np.float32(scales[2]),
        "yz": np.uint8(zeros[2]),
        "b": rng.integers(-50, 50, 3).astype(np.int32),
    }
    node = helper.make_node("QLinearConv", ["x", *constants], ["y"], pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    x = rng.integers(0, 256, (2, 2, 9, 9)).astype(np.uint8)
    x[1] //= 16
    proto = model([node], constants, (TensorProto.UINT8, [None, 2, 9, 9]), (TensorProto.UINT8, [None, 3, 9, 9]))
    result, reference = judged(proto, x)
    assert np.array_equal(result, reference)


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("zeros", ZEROS)
def test_qlinearmatmul(scales: tuple[float, ...], zeros: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    constants = {
        "xs": np.float32(scales[0]),
        "xz": np.uint8(zeros[0]),
        "w": rng.integers(-4, 5, (12, 10)).astype(np.int8),
        "ws": np.float32(scales[1]),
        "wz": np.int8(zeros[1]),
        "ys": np.float32(scales[2]),
        "yz": np.uint8(zeros[2]),
    }
    node = helper.make_node("QLinearMatMul", ["x", *constants], ["y"])
    x = rng.integers(0, 256, (300, 12)).astype(np.uint8)
    x[150:] //= 16
    proto = model([node], constants, (TensorProto.UINT8, [None, 12]), (TensorProto.UINT8, [None, 10]))
    result, reference = judged(proto, x)
    assert np.array_equal(result, reference)
    if (scales[0], zeros) == (0.5, (0, 0, 1)):  # ties, and an odd zero point, which ONNX Runtime adds after them
        other = intsim.load(proto, "onnxruntime").run(x).outputs["y"].values
        assert not np.array_equal(other, reference)


def test_float_ops_between_codes() -> None:
    """x - c, quantized; that + itself, quantized, and read again: each op reads the reals of codes."""
    nodes: list[Any] = []
    constants: dict[str, Any] = {"c": np.float32(0.37), "z": np.int8(3)}
    for i, (scale, op, operands) in enumerate(
        [(0.11, "Sub", ["x", "c"]), (0.23, "Add", ["r0", "r0"]), (0.07, "Mul", ["r1", "r0"])]
    ):
        constants[f"s{i}"] = np.float32(scale)
        nodes += [
            helper.make_node(op, operands, [f"f{i}"]),
            helper.make_node("QuantizeLinear", [f"f{i}", f"s{i}", "z"], [f"q{i}" if i < 2 else "y"]),
            helper.make_node("DequantizeLinear", [f"q{i}" if i < 2 else "y", f"s{i}", "z"], [f"r{i}"]),
        ]
    proto = model(
        [
            helper.make_node("QuantizeLinear", ["in", "s0", "z"], ["qx"]),
            helper.make_node("DequantizeLinear", ["qx", "s0", "z"], ["x"]),
            *nodes[:-1],
        ],
        constants,
        (TensorProto.FLOAT, [None, 50]),
        (TensorProto.INT8, [None, 50]),
    )
    proto.graph.input[0].name = "in"
    x = np.random.default_rng(3).normal(0, 3, (4, 50)).astype(np.float32)
    lowered = lower(load_graph(proto), TARGETS["onnx-reference"])
    assert sum(layer.op == "island" for layer in lowered.layers) == 3
    result = intsim.load(proto, "onnx-reference").run(x).outputs["y"].values
    assert np.array_equal(result, evaluated(proto, x))
