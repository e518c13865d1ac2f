"""The wiring of a model: an order in which every tensor is made before it is read."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence

from intsim.errors import MalformedGraph
from intsim.importers.onnx.onnx_node import OnnxNode


def sorted_nodes(nodes: Sequence[OnnxNode], given: Iterable[str]) -> list[OnnxNode]:
    """The nodes in topological order, in file order where that is free. given: inputs and initializers.

    Errors: MalformedGraph names a tensor that is made twice or by nobody, or the cycle.
    """
    known = set(given)
    makers = _makers(nodes, known)
    waiting: list[int] = []
    readers: dict[int, list[int]] = defaultdict(list)
    for index, node in enumerate(nodes):
        sources = set()
        for name in node.inputs:
            if name and name not in known:
                if name not in makers:
                    raise MalformedGraph(f"{node.where}: reads {name!r}, which nothing in the model makes")
                sources.add(makers[name])
        waiting.append(len(sources))
        for source in sources:
            readers[source].append(index)
    ready = [i for i, n in enumerate(waiting) if n == 0]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        raise MalformedGraph(f"the graph has a cycle: {_cycle(nodes, makers, set(range(len(nodes))) - set(order))}")
    return [nodes[i] for i in order]


def _makers(nodes: Sequence[OnnxNode], given: set[str]) -> dict[str, int]:
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.outputs:
            if not name:
                continue
            if name in given or name in makers:
                other = f"{nodes[makers[name]].where}" if name in makers else "an input or initializer"
                raise MalformedGraph(f"{node.where}: makes {name!r}, which {other} already is or makes")
            makers[name] = index
    return makers


def _cycle(nodes: Sequence[OnnxNode], makers: dict[str, int], left: set[int]) -> str:
    """One cycle among the nodes that are left, spelled a -> b -> a: walk backwards until a node repeats."""
    step, place = min(left), dict[int, int]()
    while step not in place:
        place[step] = len(place)
        step = next(makers[n] for n in nodes[step].inputs if makers.get(n) in left)
    loop = [*list(place)[place[step] :], step][::-1]
    return " -> ".join(repr(nodes[i].name) for i in loop[:8]) + (" -> …" if len(loop) > 8 else "")


def without_identities(nodes: Sequence[OnnxNode], outputs: Sequence[str], falses: frozenset[str]) -> list[OnnxNode]:
    """The nodes without Identity and Dropout: what reads their output reads their input. falses: constants.

    One whose output is an output of the graph gives its input that name. Where the input is an input of the graph, a
    constant or another output, the node stays, and the importer refuses it.
    """
    made = {o for n in nodes for o in n.outputs}
    read = {i for n in nodes for i in n.inputs} | set(outputs)
    rename: dict[str, str] = {}
    kept: list[OnnxNode] = []
    taken: dict[str, str] = {}
    for node in nodes:
        source = rename.get(node.inputs[0], node.inputs[0]) if node.inputs else ""
        if not _passes_through(node, read, falses) or not source:
            kept.append(node)
        elif node.outputs[0] not in outputs:
            rename[node.outputs[0]] = source
        elif source in made and source not in outputs and source not in taken:
            taken[source] = node.outputs[0]
        else:
            kept.append(node)

    def final(name: str) -> str:
        name = rename.get(name, name)
        return taken.get(name, name)

    return [
        OnnxNode(
            n.name,
            n.op,
            n.domain,
            tuple(final(i) for i in n.inputs),
            tuple(final(o) for o in n.outputs),
            n.attributes,
            n.metadata,
        )
        for n in kept
    ]


def _passes_through(node: OnnxNode, read: set[str], falses: frozenset[str]) -> bool:
    """Identity, or Dropout as it is in inference: not training, and nobody reads its mask."""
    if node.domain or any(o in read for o in node.outputs[1:]):
        return False
    return node.op == "Identity" or (node.op == "Dropout" and (len(node.inputs) < 3 or node.inputs[2] in {"", *falses}))
