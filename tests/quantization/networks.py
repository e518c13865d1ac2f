"""Small float networks for the tests of quantization, and ways to run them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tests.models.builder import Builder

Array = np.ndarray[Any, Any]


def batch_norm(b: Builder, x: str, name: str, channels: int) -> str:
    """BatchNormalization with seeded parameters, none of them trivial."""
    random = b.random
    parameters = (
        random.uniform(0.5, 1.5, channels),
        random.standard_normal(channels),
        random.standard_normal(channels),
        random.uniform(0.2, 2.0, channels),
    )
    names = [b.constant(f"{name}.{i}", p.astype(np.float32)) for i, p in enumerate(parameters)]
    return b.node("BatchNormalization", [x, *names], name, epsilon=1e-3)


def residual(opset: int = 17) -> onnx.ModelProto:
    """Every kind of layer that METHODS' integer arithmetic has: image f32[N, 2, 8, 8] -> logits f32[N, 3]."""
    b = Builder(5, opset)
    x = b.node("Relu", [batch_norm(b, b.conv("image", "conv1", 2, 4), "bn1", 4)], "relu1")
    x = b.node("MaxPool", [x], "pool", kernel_shape=[2, 2], strides=[2, 2])
    y = batch_norm(b, b.conv(x, "conv2", 4, 4), "bn2", 4)
    x = b.node("Relu", [b.node("Add", [y, x], "add")], "relu2")
    x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "mean")], "flat", axis=1)
    b.linear(x, "logits", 4, 3)
    return b.model("residual", {"image": ["batch", 2, 8, 8]}, ["logits"])


def images(count: int, seed: int = 0, shape: Sequence[int] = (2, 8, 8)) -> Array:
    """Seeded inputs f32[count, …] whose size differs from batch to batch."""
    random = np.random.default_rng(seed)
    scale = np.linspace(0.5, 2.0, count).reshape(-1, *[1] * len(shape))
    return (random.standard_normal((count, *shape)) * scale).astype(np.float32)


def single(
    op: str,
    shape: Sequence[int | str],
    constants: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = ("x",),
    opset: int = 17,
    outputs: int = 1,
    **attributes: Any,
) -> onnx.ModelProto:
    """A float model of one op on the input `x`."""
    names = [f"y{i}" if i else "y" for i in range(outputs)]
    node = helper.make_node(op, list(inputs), names, name="it", **attributes)
    return several([node], shape, constants, names, opset)


def several(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str],
    constants: Mapping[str, Any] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """A float model of these nodes on the input `x`."""
    graph = helper.make_graph(
        list(nodes),
        "several",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def run(
    model: onnx.ModelProto, x: Array, outputs: Sequence[str] | None = None, level: str = "ORT_ENABLE_EXTENDED"
) -> Any:
    """ONNX Runtime's outputs, in a list; the entry keeps signed codes signed."""
    return _session(model, level).run(outputs, {model.graph.input[0].name: x})


def kernels(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """The ops of the graph that ONNX Runtime makes of a model."""
    path = folder / "optimized.onnx"
    _session(model, "ORT_ENABLE_EXTENDED", path)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def _session(model: onnx.ModelProto, level: str, optimized: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def initializers(model: onnx.ModelProto) -> dict[str, Array]:
    """The constants of a model by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
