"""Fully connected layers in one form: Gemm with alpha = beta = 1, no transA and a bias for each output."""

from __future__ import annotations

import numpy as np

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.absorb import output_axis
from intsim.quantization.float_graph import FloatGraph, rewired


def normalize_dense(graph: FloatGraph) -> None:
    """Bring every Gemm, and every MatMul of [N, K] with a constant [K, M], into that form.

    Errors: UnsupportedOp for a Gemm whose B or C is not constant, or whose C differs from row to row.
    """
    for node in list(graph.nodes):
        if node.op == "Gemm":
            graph.replace(node, *_normal(graph, node))
        elif node.op == "MatMul" and _is_dense(graph, node):
            graph.replace(node, rewired(node, op="Gemm", attributes={"transB": 0}))


def _is_dense(graph: FloatGraph, node: OnnxNode) -> bool:
    a, b = node.inputs
    return a not in graph.constants and graph.rank(a) == 2 and b in graph.constants and graph.rank(b) == 2


def _normal(graph: FloatGraph, node: OnnxNode) -> list[OnnxNode]:
    if any(name not in graph.constants for name in node.inputs[1:] if name) or node.inputs[0] in graph.constants:
        raise node.unsupported("B and C must be constants and A must not; use MatMul for two computed operands")
    weight = graph.constants[node.inputs[1]].astype(np.float64) * node.real("alpha", 1.0)
    outputs = weight.shape[output_axis(node)]
    names = [node.inputs[0], graph.own_constant(node, 1, "weight", weight)]
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = graph.constants[node.inputs[2]].astype(np.float64) * node.real("beta", 1.0)
        if bias.size not in (1, outputs) or (bias.size == outputs and bias.shape[-1:] not in ((outputs,), ())):
            raise node.unsupported(f"C must be one number for each of {outputs} outputs, not {list(bias.shape)}")
        row = np.broadcast_to(bias.reshape(-1), (outputs,))
        names.append(graph.own_constant(node, 2, "bias", row))
    layer = rewired(node, inputs=tuple(names), attributes={"transB": node.integer("transB", 0)})
    if not node.integer("transA", 0):
        return [layer]
    turned = f"{node.outputs[0]}.transposed"
    transpose = OnnxNode(f"{node.name}.transpose", "Transpose", "", (names[0],), (turned,), {"perm": (1, 0)}, {})
    return [transpose, rewired(layer, inputs=(turned, *names[1:]))]
