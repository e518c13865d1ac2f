"""Outside judges: one ONNX node, run by ONNX's own reference evaluator or by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

Array = np.ndarray[Any, Any]


def one_node(op: str, inputs: Sequence[Any], opset: int, domain: str, attributes: dict[str, Any]) -> onnx.ModelProto:
    """A model of one node; inputs are arrays or NumPy scalars, None leaves an optional one out."""
    names = ["" if array is None else f"i{index}" for index, array in enumerate(inputs)]
    types = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds(inputs).items()
    ]
    node = helper.make_node(op, names, ["y"], domain=domain, **attributes)
    graph = helper.make_graph([node], "one", types, [onnx.ValueInfoProto(name="y")])
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def feeds(inputs: Sequence[Any]) -> dict[str, Array]:
    """The inputs of `one_node` by name."""
    return {f"i{index}": np.asarray(array) for index, array in enumerate(inputs) if array is not None}


def onnx_reference(op: str, inputs: Sequence[Any], *, opset: int = 21, **attributes: Any) -> Array:
    """What ONNX's reference evaluator computes for one node."""
    model = one_node(op, inputs, opset, "", attributes)
    outputs: Any = ReferenceEvaluator(model).run(None, feeds(inputs))
    return np.asarray(outputs[0])


def onnxruntime(op: str, inputs: Sequence[Any], *, opset: int = 21, domain: str = "", **attributes: Any) -> Array:
    """What ONNX Runtime computes for one node; all its inputs are constants but the first, as its kernels expect."""
    import onnxruntime as runtime

    model = one_node(op, inputs, opset, domain, attributes)
    for name, array in list(feeds(inputs).items())[1:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    del model.graph.input[1:]
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"i0": np.asarray(inputs[0])})[0])
