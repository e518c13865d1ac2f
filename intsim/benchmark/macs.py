"""MACs: how many products a model adds up for one image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from intsim.ops import MACS

if TYPE_CHECKING:
    from intsim.graph import Node
    from intsim.model import Model


def count_macs(model: Model) -> int | None:
    """Multiply-accumulates for one image; None where the file leaves a shape open that decides it."""
    nodes = macs_by_node(model)
    return None if None in nodes.values() else sum(n for n in nodes.values() if n) // (model.batch or 1)


def macs_by_node(model: Model) -> dict[str, int | None]:
    """The multiply-accumulates of each node that has any, for one image or one fixed batch, by the node's name.

    A convolution has output elements * input channels of a group * kernel elements, padding counted as any
    other; a matrix product has output elements * inner length. Adds, pools and requantizing count nothing, and it is
    all the same whether the target adds up in integers or in float.
    """
    return {n.name: _macs(model, n) for n in model.graph.nodes if n.op in MACS}


def _macs(model: Model, node: Node) -> int | None:
    output, weights = (model.graph.values[name].shape for name in (node.outputs[0], node.inputs[1]))
    terms = weights[1:] if node.op == "Conv" else weights[-2:-1] or weights
    known = [length for length in (*output[1:], *terms) if length is not None]
    if len(known) < len(output[1:]) + len(terms):
        return None
    return math.prod(known) * (output[0] or 1 if output else 1)
