"""Model-local functions, written out: the rest of the importer sees plain nodes."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import DecodeError, EncodeError
from onnx import AttributeProto, ModelProto, NodeProto

from intsim.errors import MalformedGraph, UnsupportedOp
from intsim.importers.onnx.onnx_node import INTSIM

LARGEST_GRAPH = 1_000_000
"""How many nodes the functions may become: each may call two others, and so on, thirty times."""

DEEPEST = 100
"""How deep functions may call each other."""

Key = tuple[str, str, str]
"""What a function is called by: domain, name, overload."""


def inlined(model: ModelProto) -> ModelProto:
    """The model without functions, but for those of the project's own domain, which have importers.

    Errors: MalformedGraph (recursion), UnsupportedOp (too many nodes).
    """
    if not model.functions:
        return model
    from onnx import checker, inliner

    bodies = {(f.domain, f.name, f.overload): f.node for f in model.functions}
    nodes = _Counter(bodies).count(model.graph.node)
    if nodes > LARGEST_GRAPH:
        raise UnsupportedOp(f"the model's functions become {nodes} nodes; supported: up to {LARGEST_GRAPH}")
    try:
        own = [(f.domain, f.name) for f in model.functions if f.domain == INTSIM]
        return inliner.inline_selected_functions(model, own, exclude=True)
    except (checker.ValidationError, RuntimeError, ValueError, DecodeError, EncodeError) as error:
        line = " ".join(str(error).split())[:300]
        raise MalformedGraph(f"the model's functions cannot be inlined: {line}") from None


class _Counter:
    """Counts the nodes that calls become; each function is counted once."""

    def __init__(self, bodies: dict[Key, Iterable[NodeProto]]) -> None:
        self._bodies = bodies
        self._counts: dict[Key, int | None] = {}
        self._depth = 0

    def count(self, nodes: Iterable[NodeProto]) -> int:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UnsupportedOp(f"the model's functions and graphs are nested deeper than {DEEPEST}")
        result = sum(self._one(node) for node in nodes)
        self._depth -= 1
        return result

    def _one(self, node: NodeProto) -> int:
        key = (node.domain, node.op_type, node.overload)
        if key in self._bodies:
            return self._function(key)
        return 1 + sum(self._attribute(a) for a in node.attribute)

    def _function(self, key: Key) -> int:
        if key not in self._counts:
            self._counts[key] = None  # while it is being counted
            self._counts[key] = self.count(self._bodies[key])
        found = self._counts[key]
        if found is None:
            raise MalformedGraph(f"function {key[1]!r} of domain {key[0]!r} calls itself")
        return found

    def _attribute(self, attribute: AttributeProto) -> int:
        graphs = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
        return sum(self.count(graph.node) for graph in graphs)
