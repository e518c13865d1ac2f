"""A small writer of float ONNX graphs with seeded weights, shared by the architectures beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 10
EPSILON = 1e-5


class Builder:
    """One float ONNX graph in the making; every method adds nodes and returns the name of their output.

    Weights are He-initialised from `seed`. Batch normalisation takes its statistics from `statistics` (name ->
    array); without them it normalises with those of the batch and makes them outputs of the graph, so that one run
    of that graph gives the statistics for the second, ordinary one.
    """

    def __init__(self, seed: int, opset: int, statistics: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        self.random = np.random.default_rng(seed)
        self.opset = opset
        self.statistics = statistics
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.measured: list[str] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """The name of an initializer that holds `value`."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: Sequence[str], name: str = "", outputs: int = 1, **attributes: Any) -> str:
        """The first output of one node; further outputs are called `<name>.1`, `<name>.2`, …"""
        name = name or f"{op.lower()}{len(self.nodes)}"
        outs = [name] + [f"{name}.{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), outs, name=f"node.{name}", **attributes))
        return name

    def he(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """He-initialised weights f32[shape]; the fan-in is everything but the first axis."""
        fan_in = int(np.prod(shape[1:]))
        return (self.random.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)

    def conv(
        self,
        x: str,
        name: str,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> str:
        """A 2-D convolution with a square kernel and PyTorch's symmetric pads of `kernel // 2`."""
        names = [x, self.constant(f"{name}.weight", self.he((outputs, inputs // groups, kernel, kernel)))]
        if bias:
            names.append(self.constant(f"{name}.bias", (0.1 * self.random.standard_normal(outputs)).astype(np.float32)))
        return self.node(
            "Conv",
            names,
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            group=groups,
        )

    def batch_norm(self, x: str, name: str, channels: int) -> str:
        """Batch normalisation with random gamma in [0.5, 1.5] and beta in N(0, 0.2)."""
        gamma = self.constant(f"{name}.gamma", self.random.uniform(0.5, 1.5, channels).astype(np.float32))
        beta = self.constant(f"{name}.beta", (0.2 * self.random.standard_normal(channels)).astype(np.float32))
        if self.statistics is not None:
            mean = self.constant(f"{name}.mean", self.statistics[f"{name}.mean"].reshape(channels))
            variance = self.constant(f"{name}.variance", self.statistics[f"{name}.variance"].reshape(channels))
            return self.node("BatchNormalization", [x, gamma, beta, mean, variance], name, epsilon=EPSILON)
        mean = self.node("ReduceMean", [x], f"{name}.mean", axes=[0, 2, 3], keepdims=1)
        centred = self.node("Sub", [x, mean])
        variance = self.node(
            "ReduceMean", [self.node("Mul", [centred, centred])], f"{name}.variance", axes=[0, 2, 3], keepdims=1
        )
        self.measured += [mean, variance]
        shape = self.constant(f"{name}.shape", np.array([1, channels, 1, 1], np.int64))
        epsilon = self.constant(f"{name}.epsilon", np.array(EPSILON, np.float32))
        deviation = self.node("Sqrt", [self.node("Add", [variance, epsilon])])
        scaled = self.node("Mul", [self.node("Div", [centred, deviation]), self.node("Reshape", [gamma, shape])])
        return self.node("Add", [scaled, self.node("Reshape", [beta, shape])], name)

    def clip(self, x: str, low: float, high: float) -> str:
        """Clip(x, low, high) with the bounds as scalar initializers, as Relu6 is exported."""
        name = f"clip{len(self.nodes)}"
        bounds = [self.constant(f"{name}.{k}", np.array(v, np.float32)) for k, v in (("min", low), ("max", high))]
        return self.node("Clip", [x, *bounds], name)

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """A fully connected layer as PyTorch exports it: Gemm with transB = 1."""
        weight = self.constant(f"{name}.weight", self.he((outputs, inputs)))
        bias = self.constant(f"{name}.bias", (0.1 * self.random.standard_normal(outputs)).astype(np.float32))
        return self.node("Gemm", [x, weight, bias], name, alpha=1.0, beta=1.0, transB=1)

    def model(self, name: str, inputs: Mapping[str, Sequence[int | str]], outputs: Sequence[str]) -> onnx.ModelProto:
        """The checked float model with the named inputs (name -> shape) and outputs."""
        declared = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(s)) for n, s in inputs.items()]
        results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in [*outputs, *self.measured]]
        graph = helper.make_graph(self.nodes, name, declared, results, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=IR_VERSION)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
        return model


def with_statistics(
    build: Callable[[Mapping[str, NDArray[np.float32]] | None], onnx.ModelProto], images: NDArray[np.float32]
) -> onnx.ModelProto:
    """The model that `build` gives with the batch-norm statistics of `images` f32[N, C, H, W]."""
    import onnxruntime

    measuring = build(None)
    session = onnxruntime.InferenceSession(measuring.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs() if o.name.endswith((".mean", ".variance"))]
    values = session.run(names, {session.get_inputs()[0].name: images})
    return build(dict(zip(names, values, strict=True)))
