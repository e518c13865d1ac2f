"""Where the reals begin that no codes follow: there codes are dequantized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.importers.onnx.tensors import Array
from intsim.ops import MACS


def dequantize_tail(graph: Graph) -> Graph:
    """The graph with a DequantizeLinear where codes enter the float tail: nodes that no codes are made from.

    A multiply-accumulate of codes keeps them: its sum is exact, and only then dequantized.
    """
    tail = _tail(graph)
    values, constants = dict(graph.values), dict(graph.constants)
    nodes: list[Node] = []
    reals: dict[str, str] = {n.inputs[0]: n.outputs[0] for n in graph.nodes if n.op == "DequantizeLinear"}
    for node in graph.nodes:
        coded = [name for name in node.inputs if name and values[name].format is not None]
        if node.name not in tail or node.op == "DequantizeLinear" or (node.op in MACS and len(coded) > 1):
            nodes.append(node)
            continue
        for name in coded:
            _dequantize(name, reals, values, constants, nodes)
        inputs = tuple(reals[name] if name in coded else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    return replace(graph, nodes=_in_order(nodes), values=values, constants=constants)


def _tail(graph: Graph) -> frozenset[str]:
    """The names of the nodes from whose results no codes are made any more."""
    quantized: set[str] = set()
    tail = []
    for node in reversed(graph.nodes):
        if any(graph.values[o].format is not None or o in quantized for o in node.outputs):
            quantized.update(node.inputs)
        else:
            tail.append(node.name)
    return frozenset(tail)


def _dequantize(
    name: str,
    reals: dict[str, str],
    values: dict[str, Value],
    constants: dict[str, Array],
    nodes: list[Node],
) -> None:
    """Make the reals of the coded value `name` known, if they are not."""
    if name in reals:
        return
    reals[name] = real = f"{name}#real"
    format = values[name].format
    assert isinstance(format, Format)
    values[real] = Value(real, values[name].shape, None)
    if name in constants:
        constants[real] = np.ascontiguousarray(format.real(constants[name]))
        constants[real].flags.writeable = False
    else:
        nodes.append(Node(f"{real}#dequantize", "DequantizeLinear", (name,), (real,)))


def _in_order(nodes: list[Node]) -> tuple[Node, ...]:
    """Each DequantizeLinear of a graph output before what now reads it: stable topological order."""
    made_by = {o: n for n in nodes for o in n.outputs}
    ordered: dict[str, Node] = {}

    def place(node: Node) -> None:
        for name in node.inputs:
            maker = made_by.get(name)
            if maker is not None and maker.name not in ordered and maker.op == "DequantizeLinear":
                place(maker)
        ordered[node.name] = node

    for node in nodes:
        if node.name not in ordered:
            place(node)
    return tuple(ordered.values())
