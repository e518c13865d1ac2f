"""A small quantized network with every op that `explain` explains, all scales powers of two, written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]

IMAGE = (2, 8, 8)
"""Channels, rows and columns of the input `image`."""


def small_model(first_scale: float = 2.0**-5) -> onnx.ModelProto:
    """The model: `image` f32[N, 2, 8, 8] to `logits` f32[N, 4]. first_scale: that of the first convolution's output."""
    q = _Quantized(seed=7)
    x = q.quantize("image", "image_q", 2.0**-5)
    x = q.conv(x, "conv1", outputs=4, inputs=2, scale=first_scale, pads=1, relu=True)
    pooled = q.on_codes("MaxPool", [x], "pool1", first_scale, kernel_shape=[2, 2], strides=[2, 2])
    y = q.conv(pooled, "conv2", outputs=4, inputs=4, scale=2.0**-5, pads=1)
    y = q.on_codes("Add", [y, pooled], "add1", 2.0**-4)
    z = q.on_codes("Sub", [y, pooled], "sub1", 2.0**-4)
    z = q.on_codes("Sigmoid", [z], "gate1", 2.0**-7)
    z = q.on_codes("Mul", [z, y], "mul1", 2.0**-5)
    z = q.on_codes("Concat", [z, y], "concat1", 2.0**-4, axis=1)
    z = q.on_codes("Transpose", [z], "transpose1", 2.0**-4, perm=[0, 1, 3, 2])
    average = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "count_include_pad": 0}
    z = q.on_codes("AveragePool", [z], "average1", 2.0**-5, **average)
    z = q.on_codes("GlobalAveragePool", [z], "mean1", 2.0**-6)
    z = q.on_codes("Flatten", [z], "flatten1", 2.0**-6, axis=1)
    z = q.dense(z, "fc", inputs=8, outputs=4, scale=2.0**-5)
    return q.model(z)


def small_images(count: int, seed: int = 3) -> Array:
    """Codes of images, i8[count, 2, 8, 8]; their scale is 2**-5."""
    return np.random.default_rng(seed).integers(-128, 128, (count, *IMAGE), dtype=np.int8)


def small_reals(count: int, seed: int = 3) -> Array:
    """The same images as reals, f32[count, 2, 8, 8]."""
    return small_images(count, seed).astype(np.float32) * np.float32(2.0**-5)


class _Quantized:
    """A QDQ graph in the making; each method gives the name of the codes that it adds."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.scales: dict[str, float] = {}

    def constant(self, name: str, value: Array) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"node_{output}", **attributes))
        return output

    def quantize(self, real: str, codes: str, scale: float) -> str:
        names = [
            self.constant(f"{codes}.scale", np.array(scale, np.float32)),
            self.constant(f"{codes}.zero", np.array(0, np.int8)),
        ]
        self.scales[codes] = scale
        return self.node("QuantizeLinear", [real, *names], codes)

    def real(self, codes: str) -> str:
        output = f"{codes}.real{len(self.nodes)}"
        return self.node("DequantizeLinear", [codes, f"{codes}.scale", f"{codes}.zero"], output)

    def on_codes(self, op: str, inputs: list[str], name: str, scale: float, **attributes: Any) -> str:
        """The op between DequantizeLinear and QuantizeLinear; its codes are called `<name>_q`."""
        made = self.node(op, [self.real(x) for x in inputs], name, **attributes)
        return self.quantize(made, f"{name}_q", scale)

    def weights(self, name: str, shape: tuple[int, ...], scale: float) -> str:
        codes = self.random.integers(-100, 101, shape, dtype=np.int8)
        self.constant(f"{name}.scale", np.array(scale, np.float32))
        self.constant(f"{name}.zero", np.array(0, np.int8))
        self.scales[name] = scale
        return self.real(self.constant(name, codes))

    def bias(self, name: str, outputs: int, scale: float) -> str:
        self.constant(f"{name}.scale", np.array(scale, np.float32))
        self.constant(f"{name}.zero", np.array(0, np.int32))
        return self.real(self.constant(name, self.random.integers(-2000, 2001, outputs, dtype=np.int32)))

    def conv(self, x: str, name: str, *, outputs: int, inputs: int, scale: float, pads: int, relu: bool = False) -> str:
        w = self.weights(f"{name}.weight", (outputs, inputs, 3, 3), 2.0**-9)
        b = self.bias(f"{name}.bias", outputs, self.scales[x] * 2.0**-9)
        made = self.node("Conv", [self.real(x), w, b], name, kernel_shape=[3, 3], pads=[pads] * 4)
        if relu:
            made = self.node("Relu", [made], f"{name}_relu")
        return self.quantize(made, f"{name}_q", scale)

    def dense(self, x: str, name: str, *, inputs: int, outputs: int, scale: float) -> str:
        w = self.weights(f"{name}.weight", (outputs, inputs), 2.0**-7)
        b = self.bias(f"{name}.bias", outputs, self.scales[x] * 2.0**-7)
        return self.quantize(self.node("Gemm", [self.real(x), w, b], name, transB=1), f"{name}_q", scale)

    def model(self, codes: str) -> onnx.ModelProto:
        self.node("DequantizeLinear", [codes, f"{codes}.scale", f"{codes}.zero"], "logits")
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *IMAGE])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])
        graph = helper.make_graph(self.nodes, "small", [image], [logits], self.constants)
        opsets = [helper.make_opsetid("", 17)]
        model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=10))
        onnx.checker.check_model(model, full_check=True)
        return model
