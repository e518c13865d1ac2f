"""Batch normalisation folded into the layer before it, or made a layer of its own where there is none.

w = gamma / sqrt(variance + epsilon), b = beta - mean * w; y = w * x + b for each channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.absorb import absorb, can_absorb
from intsim.quantization.float_graph import FloatGraph

Array = np.ndarray[Any, Any]


def fold_batchnorm(graph: FloatGraph) -> None:
    """Replace every BatchNormalization.

    After a Conv or Gemm that nobody else reads it goes into the weights. Otherwise it becomes a depthwise 1x1
    Conv, which is a multiply-add for each channel; on [N, C], where there is no such Conv, a Mul and an Add.
    Errors: UnsupportedOp in training mode or with parameters that are not constant.
    """
    for node in list(graph.nodes):
        if node.op != "BatchNormalization":
            continue
        factor, offset = multiply_add(graph, node)
        before = graph.producer(node.inputs[0])
        if before is not None and can_absorb(graph, before):
            absorb(graph, before, factor, offset, after=node)
        elif (rank := graph.rank(node.inputs[0])) is None:
            raise node.unsupported("the rank of its input is not known")
        else:
            graph.replace(node, *_own_layer(graph, node, factor, offset, rank))


def multiply_add(graph: FloatGraph, node: OnnxNode) -> tuple[Array, Array]:
    """w and b of a BatchNormalization node, float64[C]."""
    if node.integer("training_mode", 0) or len([o for o in node.outputs if o]) > 1:
        raise node.unsupported("it is in training mode; export the model for inference")
    if any(name not in graph.constants for name in node.inputs[1:]):
        raise node.unsupported("its four parameters must be constants")
    gamma, beta, mean, variance = (graph.constants[name].astype(np.float64) for name in node.inputs[1:])
    deviation = np.sqrt(variance + node.real("epsilon", 1e-5))
    if not (deviation > 0).all():
        raise node.unsupported("variance + epsilon must be positive in every channel")
    factor = gamma / deviation
    return factor, beta - mean * factor


def _own_layer(graph: FloatGraph, node: OnnxNode, factor: Array, offset: Array, rank: int) -> list[OnnxNode]:
    x, y = node.inputs[0], node.outputs
    if rank < 3:
        weight = graph.add_constant(f"{node.name}.weight", factor.astype(np.float32))
        bias = graph.add_constant(f"{node.name}.bias", offset.astype(np.float32))
        middle = f"{y[0]}.product"
        return [
            OnnxNode(f"{node.name}.mul", "Mul", "", (x, weight), (middle,), {}, {}),
            OnnxNode(node.name, "Add", "", (middle, bias), y, {}, {}),
        ]
    weight = graph.add_constant(f"{node.name}.weight", factor.astype(np.float32).reshape(-1, *[1] * (rank - 1)))
    bias = graph.add_constant(f"{node.name}.bias", offset.astype(np.float32))
    attributes = {"group": len(factor), "kernel_shape": (1,) * (rank - 2)}
    return [OnnxNode(node.name, "Conv", "", (x, weight, bias), y, attributes, {})]
