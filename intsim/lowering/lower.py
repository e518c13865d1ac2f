"""lower: a Graph on a Target, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from intsim.errors import UnsupportedOp
from intsim.graph import Graph, Node
from intsim.islands.environment import standard_floats
from intsim.lowering import (
    activation,
    boundary,
    elementwise,
    island,
    mac,
    movement,
    onnx_reference,
    onnxruntime,
    pooling,
    requantizers,
    shift,
)
from intsim.lowering.builder import LayerBuilder
from intsim.lowering.clamps import Clamp, find_clamps, find_slopes
from intsim.lowering.fold_affine import fold_affine
from intsim.lowering.lowered import Lowered
from intsim.ops import COMBINES, MACS, MEANS, MOVES
from intsim.target import Target

Family = Callable[[LayerBuilder, Node, Clamp], None]

FAMILIES: Mapping[str, Family] = {
    **dict.fromkeys(MACS, mac.lower_mac),
    **dict.fromkeys(COMBINES, elementwise.lower_elementwise),
    **dict.fromkeys(MEANS, pooling.lower_mean),
    **dict.fromkeys(activation.OPS, activation.lower_activation),
    **dict.fromkeys(MOVES, movement.lower_movement),
    **dict.fromkeys(boundary.OPS, boundary.lower_boundary),
}
"""Op -> the function that lowers it to integers; what is not here can only be a float island or a float tail."""

ROUTES = {"float32": onnxruntime.float_reason, "onnx_reference": onnx_reference.float_reason}
"""Requantizer -> the function that says why a node cannot run in integers there (None: it can); else shift's."""

IN_INTEGERS: Mapping[str, frozenset[str]] = {
    "float32": onnxruntime.INTEGER_OPS | onnxruntime.TABLE_OPS | MOVES,
    "onnx_reference": onnx_reference.INTEGER_OPS,
}
"""Requantizer -> the ops that it does not run in float32, where there are others: float islands."""


@standard_floats()
def lower(graph: Graph, target: Target) -> Lowered:
    """What each layer of the graph computes on the target.

    Errors: UnsupportedOp names the node that the target cannot compute in integers, and what would help.
    """
    if all(value.format is None for value in graph.values.values()):
        raise UnsupportedOp(f"model {graph.name!r} has no quantized tensor; quantize it first (`intsim quantize`)")
    graph = fold_affine(graph, target)
    builder = LayerBuilder(graph, target)
    clamps = {**find_clamps(graph), **({} if target.float_islands else find_slopes(graph))}
    tail = float_tail(graph)
    absorbed: set[str] = set()
    for node in graph.nodes:
        if node.name in absorbed:
            continue
        here = target.at(node.name)
        clamp = clamps.get(node.name, Clamp(node.outputs[0]))
        if here.shifts_only:
            shift.check_exponents(graph, node, clamp, here)
        requantizers.check_formats(graph, node, clamp, here)
        reason = ROUTES.get(here.requantizer, shift.float_reason)(graph, node, clamp, node.name in tail)
        if reason is None and node.op in FAMILIES:
            FAMILIES[node.op](builder, node, clamp)
            absorbed.update(n.name for n in clamp.nodes)
        elif here.float_islands or node.name in tail:
            island.lower_island(builder, node, reason or f"{node.op} runs in float", in_tail=node.name in tail)
        else:
            raise UnsupportedOp(
                f"node {node.name!r} ({node.op}) breaks the integer chain: {reason or 'no integer form'}; target "
                f"{here.name!r} has no float islands: quantize what is missing, or use --target onnxruntime"
            )
    return builder.done(_inputs(graph), _outputs(graph, builder))


def float_tail(graph: Graph) -> frozenset[str]:
    """The names of the nodes that make reals from which no codes are made any more."""
    quantized: set[str] = set()
    tail = []
    for node in reversed(graph.nodes):
        if any(graph.format(o) is not None or o in quantized for o in node.outputs):
            quantized.update(node.inputs)
        else:
            tail.append(node.name)
    return frozenset(tail)


def _inputs(graph: Graph) -> dict[str, str]:
    """Each graph input's codes where exactly one QuantizeLinear reads it, else the input itself."""
    result = {}
    for name in graph.inputs:
        readers = graph.consumers(name)
        only = readers[0] if len(readers) == 1 and readers[0].op == "QuantizeLinear" else None
        result[name] = only.outputs[0] if only is not None and graph.format(name) is None else name
    return result


def _outputs(graph: Graph, builder: LayerBuilder) -> dict[str, str]:
    """Each graph output's codes where it is a dequantized tensor or a raw accumulator, else the output itself."""
    dequantized = {layer.outputs[0]: layer.inputs[0] for layer in builder.layers if layer.op == "dequantize_float32"}
    return {name: dequantized.get(name, name) for name in graph.outputs}
