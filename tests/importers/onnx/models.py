"""Small models for the importer's tests, written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
NEWEST = onnx.defs.onnx_opset_version()


def f32(value: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A float32 array."""
    return np.asarray(value, np.float32)


class ModelWriter:
    """Nodes and constants of a model that is being written; every method returns the name of its output."""

    def __init__(self, opset: int = 21) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, shape: Sequence[int | str], kind: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return name

    def constant(self, value: Any, name: str = "", kind: int | None = None) -> str:
        array = np.asarray(value)
        name = name or self._name("c")
        if kind is None:
            self.constants[name] = numpy_helper.from_array(array, name)
        else:
            self.constants[name] = helper.make_tensor(name, kind, array.shape, array.reshape(-1).tolist())
        return name

    def node(self, op: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        name = output or self._name(op)
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"node_{name}", domain=domain, **attributes))
        return name

    def quantized(self, real: str, scale: float, zero: int = 0, kind: int = TensorProto.UINT8, output: str = "") -> str:
        """QuantizeLinear, then DequantizeLinear; the codes are `output` or `<real>_q`."""
        s, z = self.constant(np.float32(scale)), self.constant(zero, kind=kind)
        codes = self.node("QuantizeLinear", real, s, z, output=output or f"{real}_q")
        return self.node("DequantizeLinear", codes, s, z, output=f"{codes}_dq")

    def dequantized(
        self, codes: Any, scale: Any, zero: Any = 0, kind: int = TensorProto.INT8, name: str = "", axis: int = 0
    ) -> str:
        """Constant codes after a DequantizeLinear."""
        scale = np.asarray(scale, np.float32)
        zeros = np.broadcast_to(np.asarray(zero), scale.shape)
        q = self.constant(np.asarray(codes), name, kind=kind)
        return self.node(
            "DequantizeLinear", q, self.constant(scale), self.constant(zeros, kind=kind), output=f"{q}_dq", axis=axis
        )

    def model(self, *outputs: str, metadata: Mapping[str, str] | None = None) -> ModelProto:
        values = [helper.make_tensor_value_info(o, TensorProto.UNDEFINED, None) for o in outputs]
        for value in values:
            value.ClearField("type")
        graph = helper.make_graph(self.nodes, "test", self.inputs, values, list(self.constants.values()))
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        helper.set_model_props(model, dict(metadata or {}))
        return model

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"


def small_cnn(opset: int = 21) -> ModelProto:
    """conv (per-channel int8 weights, int32 bias) -> relu -> max pool -> flatten -> gemm, all uint8 activations."""
    random = np.random.default_rng(1)
    w = ModelWriter(opset)
    x = w.quantized(w.input("x", ["N", 2, 6, 6]), 0.5, 3, output="x_q")
    scale = np.array([0.25, 0.5, 0.125], np.float32)
    weights = w.dequantized(random.integers(-128, 128, (3, 2, 3, 3)), scale, 0, name="w")
    bias = w.dequantized(random.integers(-500, 500, 3), 0.5 * scale, 0, TensorProto.INT32, name="b")
    conv = w.node("Conv", x, weights, bias, output="conv", pads=[1, 1, 1, 1])
    relu = w.quantized(w.node("Relu", conv, output="relu"), 2.0, 0, output="relu_q")
    pool = w.quantized(w.node("MaxPool", relu, kernel_shape=[2, 2], strides=[2, 2], output="pool"), 2.0, 0)
    flat = w.quantized(w.node("Flatten", pool, output="flat"), 2.0, 0)
    dense = w.dequantized(random.integers(-128, 128, (5, 27)), 0.01, 0, name="dense")
    return w.model(w.quantized(w.node("Gemm", flat, dense, output="gemm", transB=1), 4.0, 100))
