"""What is known before the network runs, computed once: constant subgraphs, and arithmetic on lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator

from intsim.errors import MalformedGraph
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.ops import REARRANGES
from intsim.quantization.float_graph import FloatGraph, first_line, node_proto
from intsim.quantization.shapes import batch_sizes, shapes_at

Array = np.ndarray[Any, Any]

BROADCASTS = frozenset({"Add", "Sub", "Mul", "Div"})

OTHERS = frozenset(
    {"Concat", "Gather", "Constant", "ConstantOfShape", "Expand", "Cast", "Floor", "Ceil", "Neg", "Sqrt"}
)
FOLDED = REARRANGES | BROADCASTS | OTHERS
"""Ops that are computed at once where all inputs are constants."""

LARGEST = 1 << 28
"""How many numbers a folded constant may have: a file of a few bytes can ask for terabytes."""


def fold_constants(graph: FloatGraph) -> None:
    """Compute the nodes that read constants only. Errors: MalformedGraph, UnsupportedOp where that takes too much."""
    left = []
    for node in graph.nodes:
        if node.op in FOLDED and not node.domain and all(i in graph.constants for i in node.inputs if i):
            graph.constants.update(zip(node.outputs, _values(graph, node), strict=True))
        else:
            left.append(node)
    graph.nodes = left


def fold_lengths(graph: FloatGraph) -> None:
    """Compute the nodes that follow from the shapes of tensors alone, where the batch makes no difference."""
    first, *others = (_constants_at(graph, batch) for batch in batch_sizes(graph))
    left = []
    for node in graph.nodes:
        if all(o in first and all(_equal(first[o], k.get(o)) for k in others) for o in node.outputs):
            graph.constants.update((o, first[o]) for o in node.outputs)
        else:
            left.append(node)
    graph.nodes = left


def _constants_at(graph: FloatGraph, batch: int) -> dict[str, Array]:
    """All that is constant when the network runs `batch` inputs."""
    fixed = replace(graph, nodes=list(graph.nodes), constants=dict(graph.constants))
    fixed.input_shape = (batch, *graph.input_shape[1:])
    while any(node.op == "Shape" for node in fixed.nodes):
        before = len(fixed.nodes)
        shapes = {**shapes_at(fixed, batch), fixed.input: fixed.input_shape}
        for node in list(fixed.nodes):
            shape = shapes.get(node.inputs[0], (None,)) if node.op == "Shape" else (None,)
            if all(isinstance(length, int) for length in shape):
                span = slice(node.integer("start", 0), node.integer("end", len(shape)))
                fixed.constants[node.outputs[0]] = np.array(shape[span], np.int64)
                fixed.replace(node)
        fold_constants(fixed)
        if len(fixed.nodes) == before:
            break
    return fixed.constants


def _equal(value: Array, other: Array | None) -> bool:
    return other is not None and value.dtype == other.dtype and np.array_equal(value, other)


def _values(graph: FloatGraph, node: OnnxNode) -> list[Array]:
    inputs = {name: graph.constants[name] for name in node.inputs if name}
    try:
        small = _result_size(node, list(inputs.values())) <= LARGEST
        run = ReferenceEvaluator(node_proto(node), opsets={"": graph.opset})
        values = run.run(None, inputs) if small else []
    except Exception as error:  # the evaluator's ops raise whatever NumPy raises
        raise MalformedGraph(f"{node.where}: cannot be computed: {first_line(error)}") from error
    if not small:
        raise node.unsupported(f"makes a constant of more than {LARGEST} numbers")
    return [np.asarray(value) for value in values]


def _result_size(node: OnnxNode, inputs: Sequence[Array]) -> int:
    """A bound on how many numbers a node makes of these constants."""
    if node.op in BROADCASTS:
        return math.prod(np.broadcast_shapes(*(x.shape for x in inputs)))
    if node.op == "Gather":
        return inputs[0].size * inputs[-1].size
    if node.op in ("ConstantOfShape", "Expand"):
        return math.prod(int(length) for length in inputs[-1]) * (inputs[0].size if node.op == "Expand" else 1)
    return sum(x.size for x in inputs)
