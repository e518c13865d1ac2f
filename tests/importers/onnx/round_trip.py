"""A Graph written back as ONNX, so that a runtime can say whether it means what the imported model meant.

Each node becomes DequantizeLinear on its coded inputs, its op, and QuantizeLinear on its coded outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.importers import load_graph

Array = np.ndarray[Any, np.dtype[Any]]

KINDS = {
    (8, True): TensorProto.INT8,
    (8, False): TensorProto.UINT8,
    (16, True): TensorProto.INT16,
    (16, False): TensorProto.UINT16,
    (32, True): TensorProto.INT32,
}
NOTES = {"raw_output", "integer_kernel", "kept", "aligned_bias"}
"""Attributes that say where a node came from, and nothing about what it computes."""

RENAMED = {"groups": "group", "kernel": "kernel_shape"}


def evaluate(model: onnx.ModelProto, inputs: dict[str, Array], names: list[str]) -> dict[str, Array]:
    """The tensors of that names, by ONNX Runtime without any optimization."""
    import onnxruntime as ort

    wanted = onnx.ModelProto()
    wanted.CopyFrom(model)
    del wanted.graph.output[:]
    for name in names:
        wanted.graph.output.add().name = name
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(wanted.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, inputs), strict=True))


def same_meaning(model: onnx.ModelProto, images: int = 3, spread: float = 4.0, opset: int = 21) -> Graph:
    """The imported graph, after it computed the same codes and outputs as the model on random inputs.

    spread: the standard deviation of real inputs. Integer inputs take all codes. opset: of the graph written back; a
    runtime's float ops may round differently in another opset (ONNX Runtime's AveragePool does, before and since 19).
    """
    graph = load_graph(model)
    random = np.random.default_rng(7)
    inputs: dict[str, Array] = {}
    for name in graph.inputs:
        shape = [images if n is None else n for n in graph.values[name].shape]
        format = graph.format(name)
        if format is None:
            inputs[name] = random.normal(0, spread, shape).astype(np.float32)
        else:
            inputs[name] = random.integers(format.low, format.high + 1, shape).astype(format.dtype)
    names = [*dict.fromkeys([*coded_names(graph, model), *graph.outputs])]
    expected, actual = evaluate(model, inputs, names), evaluate(to_onnx(graph, opset), inputs, names)
    for name in names:
        np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
        assert actual[name].dtype == expected[name].dtype
        declared = graph.values[name].shape
        assert all(d in (n, None) for n, d in zip(actual[name].shape, declared, strict=True))
    return graph


def coded_names(graph: Graph, model: onnx.ModelProto) -> list[str]:
    """The values with a format that are integer tensors of the model too, and made by one of its nodes."""
    inferred = onnx.shape_inference.infer_shapes(model)
    integers = {v.name for v in inferred.graph.value_info if v.type.tensor_type.elem_type in set(KINDS.values())}
    made = {o for n in graph.nodes for o in n.outputs}
    return [name for name in graph.values if name in integers & made]


def to_onnx(graph: Graph, opset: int = 21) -> onnx.ModelProto:
    """The graph as an ONNX model with the same names; codes are in 8, 16 or 32 bits."""
    nodes: list[onnx.NodeProto] = []
    constants = [numpy_helper.from_array(np.asarray(a), name) for name, a in graph.constants.items()]
    inputs = []
    for name in graph.inputs:
        format = graph.format(name)
        kind = TensorProto.FLOAT if format is None else _kind(format)
        shape = [f"{name}{i}" if n is None else n for i, n in enumerate(graph.values[name].shape)]
        inputs.append(helper.make_tensor_value_info(name, kind, shape))
    for node in graph.nodes:
        _write(graph, node, nodes, constants)
    model = helper.make_graph(nodes, "round trip", inputs, [], constants)
    result = helper.make_model(model, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    for name in graph.outputs:
        result.graph.output.add().name = name
    return result


def _kind(format: Format) -> int:
    bits = next(b for b in (8, 16, 32) if format.bits <= b)
    return int(KINDS[bits, format.signed])


def _write(graph: Graph, node: Node, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> None:
    def constant(suffix: str, array: Array) -> str:
        constants.append(numpy_helper.from_array(np.asarray(array), f"{node.name}/{suffix}"))
        return f"{node.name}/{suffix}"

    def parameters(name: str, format: Format, at: str) -> list[str]:
        scale, zero = format.scales, format.zero_points
        if not format.per_channel:
            scale, zero = scale.reshape(()), zero.reshape(())
        kind = helper.tensor_dtype_to_np_dtype(_kind(format))
        return [name, constant(f"{at}s", scale), constant(f"{at}z", zero.astype(kind))]

    def axis(format: Format) -> dict[str, Any]:
        return {} if format.axis is None else {"axis": format.axis}

    if node.op in ("Reinterpret", "CodeClip"):
        name = node.inputs[0]
        if node.op == "CodeClip":
            format = graph.format(name)
            assert format is not None
            dtype = helper.tensor_dtype_to_np_dtype(_kind(format))
            bounds = [constant(k, np.array(node.attributes[k], dtype)) for k in ("low", "high")]
            nodes.append(helper.make_node("Clip", [name, *bounds], list(node.outputs)))
        else:
            nodes.append(helper.make_node("Identity", [name], list(node.outputs)))
        return
    reals = []
    for i, name in enumerate(node.inputs):
        format = graph.format(name) if name else None
        if format is None:
            reals.append(name)
        else:
            nodes.append(
                helper.make_node(
                    "DequantizeLinear", parameters(name, format, f"x{i}"), [f"{node.name}/x{i}"], **axis(format)
                )
            )
            reals.append(f"{node.name}/x{i}")
    results = [f"{node.name}/y{i}" if graph.format(o) else o for i, o in enumerate(node.outputs)]
    if node.op in ("QuantizeLinear", "DequantizeLinear", "Requantize"):
        nodes.append(helper.make_node("Identity", reals, results))
    else:
        nodes.append(_op(node, reals, results, constant))
    for i, (name, real) in enumerate(zip(node.outputs, results, strict=True)):
        format = graph.format(name)
        if format is None:
            continue
        codes = name if (format.bits in (8, 16, 32) and not format.narrow) else f"{node.name}/wide{i}"
        if format.bits == 32:  # a raw accumulator: QuantizeLinear has no int32
            nodes.append(helper.make_node("Cast", [real], [name], to=TensorProto.INT32))
            continue
        nodes.append(helper.make_node("QuantizeLinear", parameters(real, format, f"y{i}"), [codes], **axis(format)))
        if codes != name:
            dtype = helper.tensor_dtype_to_np_dtype(_kind(format))
            bounds = [constant(f"{k}{i}", np.array(getattr(format, k), dtype)) for k in ("low", "high")]
            nodes.append(helper.make_node("Clip", [codes, *bounds], [name]))


def _op(node: Node, reals: list[str], results: list[str], constant: Any) -> onnx.NodeProto:
    """The ONNX node (opset 21): attributes that became inputs are inputs again."""
    attributes = {RENAMED.get(k, k): v for k, v in node.attributes.items() if k not in NOTES}

    def moved(key: str, dtype: str = "i8") -> str:
        value = attributes.pop(key, None)
        return "" if value is None else constant(key, np.array(value, dtype))

    match node.op:
        case "AveragePool" if set(attributes["dilations"]) == {1}:  # since opset 19
            del attributes["dilations"]
        case "Clip":
            reals = [*reals, moved("min", "f4"), moved("max", "f4")]
        case "ReduceMean" | "ReduceMax" | "Squeeze" | "Unsqueeze":
            reals = [*reals, moved("axes")]
        case "Reshape":
            reals = [*reals, moved("shape")]
        case "Slice":
            reals = [*reals, *(moved(k) for k in ("starts", "ends", "axes", "steps"))]
        case "Split":
            reals = [*reals, moved("sizes")]
        case "Pad":
            reals = [*reals, moved("pads"), moved("value", "f4")]
        case "Resize":
            attributes["coordinate_transformation_mode"] = attributes.pop("coordinate_mode")
            sizes = attributes.pop("sizes")
            if sizes is not None:  # 0 keeps an axis: ONNX leaves it out
                attributes["axes"] = [i for i, n in enumerate(sizes) if n]
                sizes = constant("sizes", np.array([n for n in sizes if n], np.int64))
            reals = [*reals, "", moved("scales", "f4"), sizes or ""]
    for key in ("ceil_mode", "count_include_pad", "keepdims"):
        if key in attributes:
            attributes[key] = int(attributes[key])
    while reals[-1] == "":
        reals.pop()
    return helper.make_node(node.op, reals, results, **attributes)
