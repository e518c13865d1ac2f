"""A multiply-add for each output channel, absorbed into the Conv or Gemm before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.float_graph import FloatGraph, rewired

Array = np.ndarray[Any, Any]


def can_absorb(graph: FloatGraph, node: OnnxNode | None) -> bool:
    """Whether the node is a Conv or Gemm with constant weight and bias whose result one node alone reads."""
    return (
        node is not None
        and node.op in ("Conv", "Gemm")
        and all(name in graph.constants for name in node.inputs[1:] if name)
        and graph.only_consumer(node.outputs[0]) is not None
    )


def output_axis(node: OnnxNode) -> int:
    """The axis of a Conv's or Gemm's weight that counts its outputs."""
    return 0 if node.op == "Conv" or node.integer("transB", 0) else 1


def absorb(graph: FloatGraph, node: OnnxNode, factor: Array, offset: Array, after: OnnxNode) -> None:
    """Put factor * node(x) + offset in the place of `node` and of `after`, the node that computed it.

    factor, offset: float64[output channels]. New weight w * factor, new bias b * factor + offset, computed in
    float64 and rounded once to float32.
    """
    weight = graph.constants[node.inputs[1]].astype(np.float64)
    shape = [1] * weight.ndim
    shape[output_axis(node)] = -1
    bias = graph.constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 and node.inputs[2] else 0.0
    names = (
        node.inputs[0],
        graph.own_constant(node, 1, "weight", weight * factor.reshape(shape)),
        graph.own_constant(node, 2, "bias", bias * factor + offset),
    )
    graph.replace(node, rewired(node, inputs=names, outputs=after.outputs))
    graph.replace(after)
