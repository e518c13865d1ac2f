"""An Add of one constant for each output channel, folded into the bias of the Conv or Gemm before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.absorb import absorb, can_absorb, output_axis
from intsim.quantization.float_graph import FloatGraph

Array = np.ndarray[Any, Any]


def fold_bias(graph: FloatGraph) -> None:
    """Replace each such Add; one whose constant varies along another axis stays."""
    for node in list(graph.nodes):
        if node.op != "Add":
            continue
        for one, other in (node.inputs, node.inputs[::-1]):
            before = graph.producer(one)
            if other not in graph.constants or before is None or not can_absorb(graph, before):
                continue
            offset = _per_channel(graph, before, graph.constants[other])
            if offset is not None:
                absorb(graph, before, np.ones(len(offset)), offset, after=node)
                break


def _per_channel(graph: FloatGraph, layer: OnnxNode, value: Array) -> Array | None:
    """The constant as float64[output channels]; None where it has another shape than the channels broadcast to."""
    weight = graph.constants[layer.inputs[1]]
    channels, rank = weight.shape[output_axis(layer)], weight.ndim
    axis = 1 if layer.op == "Conv" else rank - 1
    if value.ndim > rank:
        return None
    lengths = (1,) * (rank - value.ndim) + value.shape
    if any(length != 1 for i, length in enumerate(lengths) if i != axis) or lengths[axis] not in (1, channels):
        return None
    return np.broadcast_to(value.reshape(-1).astype(np.float64), (channels,))
