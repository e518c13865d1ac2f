"""Placement: which tensors of a float network get codes, and by which rule each finds its exponent.

Source of the rules: the DiffQuant paper. Two of its readings are choices: max pools, Relu, Clip and data movement
keep the exponent of what they read (they make no new numbers, and a runtime wants equal formats around them);
average pools, like adds and concats, have one of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.ops import CLAMPS, COMBINES, MACS, MAPS, MOVES, REQUANTIZES
from intsim.quantization.float_graph import FloatGraph

OWN = (REQUANTIZES - MACS) | MAPS
"""The output exponent is the moving average of the batches' best exponents; of MACS it follows the truncation point."""

KEEPS = CLAMPS | MOVES
"""The output has the format of the input."""

TAIL = frozenset({"Softmax"})
"""Stays in float, after the last dequantization, and only where its result is an output of the model."""

OPERANDS = MACS | COMBINES
"""Ops that may read constants as operands, which then get codes of their own."""

SUPPORTED = MACS | OWN | KEEPS | TAIL


@dataclass(frozen=True)
class CodedTensor:
    """A tensor that gets codes.

    rule: "input" or "own" (its own exponent), "mac" (from the truncation point), "kept" (that of `source`).
    measured: the tensor whose numbers choose the exponent: itself, or what a Relu or Clip right after it makes.
    """

    tensor: str
    rule: str
    measured: str
    source: str = ""
    node: OnnxNode | None = None


def find_places(graph: FloatGraph) -> dict[str, CodedTensor]:
    """The CodedTensor of every tensor that gets codes, in topological order, the input first.

    Errors: UnsupportedOp names a node that cannot be quantized.
    """
    places = {graph.input: CodedTensor(graph.input, "input", graph.input)}
    for node in graph.nodes:
        check_supported(graph, node)
        for output in node.outputs:
            if node.op in KEEPS:
                places[output] = CodedTensor(output, "kept", output, node.inputs[0], node)
            elif node.op not in TAIL:
                rule = "mac" if node.op in MACS else "own"
                places[output] = CodedTensor(output, rule, _after_clamps(graph, node), "", node)
    return places


def check_supported(graph: FloatGraph, node: OnnxNode) -> None:
    """Raise UnsupportedOp for a node that cannot be quantized, with what can."""
    if node.op not in SUPPORTED or node.domain:
        raise node.unsupported(f"cannot be quantized; supported: {', '.join(sorted(SUPPORTED))}")
    if node.op in TAIL and graph.consumers(node.outputs[0]):
        raise node.unsupported("is supported at the output of the model only")
    computed = node.inputs if node.op in OPERANDS else node.inputs[:1]
    if all(name in graph.constants for name in computed):
        raise node.unsupported("its operands are constants; nothing of the input reaches it")
    if node.op in ("Conv", "Gemm") and any(name not in graph.constants for name in node.inputs[1:] if name):
        raise node.unsupported("weight and bias must be constants")
    if node.op not in OPERANDS and any(name not in graph.constants for name in node.inputs[1:] if name):
        raise node.unsupported("all its inputs but the first must be constants")
    if node.op == "Resize" and node.text("mode", "nearest") != "nearest":
        raise node.unsupported(f"mode {node.text('mode', 'nearest')!r} is not supported, nearest is")
    if len([o for o in node.outputs if o]) > 1 and node.op != "Split":
        raise node.unsupported("only its first output is supported")


def clamps_after(graph: FloatGraph, node: OnnxNode) -> Sequence[OnnxNode]:
    """The Relu and Clip nodes that alone read this layer's output, one after the other."""
    found: list[OnnxNode] = []
    last = node
    while node.op in REQUANTIZES:
        follower = graph.only_consumer(last.outputs[0])
        if follower is None or follower.op not in CLAMPS or follower.inputs[0] != last.outputs[0]:
            break
        found.append(follower)
        last = follower
    return found


def _after_clamps(graph: FloatGraph, node: OnnxNode) -> str:
    return (node, *clamps_after(graph, node))[-1].outputs[0]
