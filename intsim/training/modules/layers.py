"""From a node of the float graph to its layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.quantization.float_graph import FloatGraph
from intsim.training.modules.add import Add
from intsim.training.modules.average_pool import AveragePool, ReduceMean
from intsim.training.modules.clamp import ClampCodes
from intsim.training.modules.concat import Concat
from intsim.training.modules.conv import Conv
from intsim.training.modules.linear import Linear
from intsim.training.modules.max_pool import MaxPool
from intsim.training.modules.move import Move
from intsim.training.modules.output import OutputFormat
from intsim.training.modules.table import TableLookUp

Make = Callable[[FloatGraph, OnnxNode, OutputFormat | None, Mapping[str, Any]], nn.Module]
"""graph, node, requantizer, what a layer of weights needs besides -> layer."""


def layer_of(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, mac: Mapping[str, Any]) -> nn.Module:
    """The layer of a node. output: its requantizer, None where the exponent stays. mac: widths of weights and bias.

    Errors: UnsupportedOp for a node that has none.
    """
    if node.op not in LAYERS:
        raise node.unsupported(f"cannot be trained; supported: {', '.join(sorted(LAYERS))}")
    return LAYERS[node.op](graph, node, output, mac)


def clamp_bounds(graph: FloatGraph, node: OnnxNode) -> tuple[float, float]:
    """The reals between which a Relu or Clip keeps its input."""
    if node.op == "Relu":
        return 0.0, math.inf
    bounds = []
    for position, default in ((1, -math.inf), (2, math.inf)):
        name = node.inputs[position] if len(node.inputs) > position else ""
        bounds.append(float(graph.constants[name].reshape(-1)[0]) if name else default)
    return bounds[0], bounds[1]


def _weights(graph: FloatGraph, node: OnnxNode) -> dict[str, Any]:
    names = [name for name in node.inputs[1:] if name]
    weight, *bias = (torch.from_numpy(np.array(graph.constants[name])) for name in names)
    return {"weight": weight, "bias": bias[0].reshape(-1) if bias else None}


def _conv(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, mac: Mapping[str, Any]) -> nn.Module:
    assert output is not None
    return Conv(node.attributes, **_weights(graph, node), **mac, output=output)


def _linear(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, mac: Mapping[str, Any]) -> nn.Module:
    if not node.integer("transB", 0):
        raise node.unsupported("supported: weights [outputs, inputs]")
    assert output is not None
    return Linear(**_weights(graph, node), **mac, output=output)


def _add(sign: int) -> Make:
    def make(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
        if any(name in graph.constants for name in node.inputs):
            raise node.unsupported("with a constant operand; supported: the sum of two computed tensors")
        assert output is not None
        return Add(output, sign)

    return make


def _concat(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    if any(name in graph.constants for name in node.inputs):
        raise node.unsupported("with a constant operand; supported: computed tensors")
    assert output is not None
    return Concat(output, int(node.attributes["axis"]))


def _average_pool(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    assert output is not None
    return AveragePool(output, node.attributes)


def _mean(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    assert output is not None
    if node.op == "GlobalAveragePool":
        rank = graph.rank(node.inputs[0])
        assert rank is not None, "its input has the shape that torch.export found"
        return ReduceMean(output, range(2, rank), True)
    return ReduceMean(output, graph.constants[node.inputs[1]].tolist(), bool(node.integer("keepdims", 1)))


def _max_pool(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    return MaxPool(node.attributes)


def _clamp(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    return ClampCodes(*clamp_bounds(graph, node))


def _table(function: Callable[[Tensor, OnnxNode], Tensor]) -> Make:
    def make(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
        assert output is not None
        return TableLookUp(output, node.op, node.attributes, lambda x: function(x, node))

    return make


def _flatten(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    return Move(lambda x, _: x.flatten(1))


def _reshape(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    wanted = graph.constants[node.inputs[1]].tolist()
    return Move(lambda x, _: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]))


def _transpose(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    axes = node.integers("perm")
    assert axes is not None
    return Move(lambda x, _: x.permute(axes))


def _slice(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    starts, ends, axes, steps = (graph.constants[name].tolist() for name in node.inputs[1:5])

    def cut(x: Tensor, _: int) -> Tensor:
        where = [slice(None)] * x.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            where[axis] = slice(start, end, step)
        return x[tuple(where)]

    return Move(cut)


def _pad(graph: FloatGraph, node: OnnxNode, output: OutputFormat | None, _: Mapping[str, Any]) -> nn.Module:
    pads = graph.constants[node.inputs[1]].tolist()
    if len(node.inputs) > 2 and node.inputs[2] and float(graph.constants[node.inputs[2]].reshape(-1)[0]) != 0.0:
        raise node.unsupported("with a value that is not zero; supported: zero")
    rank = len(pads) // 2
    around = [n for i in reversed(range(rank)) for n in (pads[i], pads[rank + i])]
    return Move(lambda x, _: functional.pad(x, around))


LAYERS: Mapping[str, Make] = {
    "Conv": _conv,
    "Gemm": _linear,
    "Add": _add(1),
    "Sub": _add(-1),
    "Concat": _concat,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _mean,
    "ReduceMean": _mean,
    "Relu": _clamp,
    "Clip": _clamp,
    "LeakyRelu": _table(lambda x, node: functional.leaky_relu(x, node.real("alpha", 0.01))),
    "Sigmoid": _table(lambda x, _: torch.sigmoid(x)),
    "Tanh": _table(lambda x, _: torch.tanh(x)),
    "HardSigmoid": _table(lambda x, _: functional.hardsigmoid(x)),
    "HardSwish": _table(lambda x, _: functional.hardswish(x)),
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Slice": _slice,
    "Pad": _pad,
}
"""ONNX op -> what makes its layer."""
