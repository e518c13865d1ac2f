"""A mean over all spatial axes, written as the pool that it is: runtimes have integer kernels for that one."""

from __future__ import annotations

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.float_graph import FloatGraph


def pool_global_means(graph: FloatGraph) -> None:
    """Replace each ReduceMean over axes 2, 3, … by GlobalAveragePool, and Flatten where it drops the axes."""
    for node in list(graph.nodes):
        if node.op != "ReduceMean" or not _is_global(graph, node):
            continue
        x, y = node.inputs[0], node.outputs[0]
        if node.integer("keepdims", 1):
            graph.replace(node, OnnxNode(node.name, "GlobalAveragePool", "", (x,), (y,), {}, {}))
            continue
        pooled = f"{y}.pooled"
        graph.replace(
            node,
            OnnxNode(f"{node.name}.pool", "GlobalAveragePool", "", (x,), (pooled,), {}, {}),
            OnnxNode(node.name, "Flatten", "", (pooled,), (y,), {"axis": 1}, {}),
        )


def _is_global(graph: FloatGraph, node: OnnxNode) -> bool:
    """Whether its axes are those from 2 on; an attribute up to opset 17, an input from 18 on."""
    rank = graph.rank(node.inputs[0])
    axes = node.integers("axes")
    if len(node.inputs) > 1 and node.inputs[1]:
        constant = graph.constants.get(node.inputs[1])
        axes = None if constant is None else tuple(int(a) for a in constant.reshape(-1))
    if rank is None or rank < 3 or axes is None:
        return False
    return sorted(a % rank for a in axes) == list(range(2, rank))
