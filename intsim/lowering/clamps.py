"""Relu and Clip right after a layer, before its output is quantized: Conv -> Relu -> QuantizeLinear.

Rounding is monotonic, so clamping the output codes equals clamping the real: clip(quantize(r), quantize(bounds)) =
quantize(clip(r, bounds)). So the head takes the output's format, and the clamp acts on its codes.

LeakyRelu and PRelu there round a second time, so that the target says whether they act on those codes (the project's
choice: in the output's format, by a table of exact results) or on the accumulator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from intsim.formats import Format, round_quotient
from intsim.graph import Graph, Node
from intsim.ops import CLAMPS, MACS, REQUANTIZES

SLOPED = ("LeakyRelu", "PRelu")


@dataclass(frozen=True)
class Clamp:
    """A head's output once what follows it is absorbed: value name, bounds in reals, the absorbed nodes.

    slope: the absorbed LeakyRelu or PRelu, if that is what it is; it has no bounds then.
    """

    output: str
    low: float = -math.inf
    high: float = math.inf
    nodes: tuple[Node, ...] = ()
    slope: Node | None = None

    def codes(self, format: Format) -> tuple[int, int] | None:
        """The clamp in output codes (half_up of the exact bound / scale); None where it changes nothing.

        Bounds need one scale and zero point, as an output tensor has.
        """
        scale, zero = Fraction(format.scale[0]), format.zero_point[0]

        def code(bound: float) -> int:
            return round_quotient(*(Fraction(bound) / scale).as_integer_ratio(), "half_up") + zero

        low = format.low if math.isinf(self.low) else min(max(code(self.low), format.low), format.high)
        high = format.high if math.isinf(self.high) else min(max(code(self.high), format.low), format.high)
        return None if (low, high) == (format.low, format.high) else (low, high)


def bounds(node: Node) -> tuple[float, float]:
    """The real bounds of a Relu or Clip node."""
    if node.op == "Relu":
        return 0.0, math.inf
    return float(node.attributes.get("min", -math.inf)), float(node.attributes.get("max", math.inf))


def find_clamps(graph: Graph) -> Mapping[str, Clamp]:
    """For each head (by node name) whose real output only feeds Relu or Clip and then a quantizer: its Clamp."""
    readers = _readers(graph)
    found: dict[str, Clamp] = {}
    for head in graph.nodes:
        if head.op not in REQUANTIZES or graph.format(head.outputs[0]) is not None:
            continue
        output, low, high, absorbed = head.outputs[0], -math.inf, math.inf, []
        while graph.format(output) is None and output not in graph.outputs and len(readers.get(output, ())) == 1:
            follower = readers[output][0]
            if follower.op not in CLAMPS:
                break
            next_low, next_high = bounds(follower)
            low, high = min(max(low, next_low), next_high), min(max(high, next_low), next_high)
            output = follower.outputs[0]
            absorbed.append(follower)
        if absorbed and graph.format(output) is not None:
            found[head.name] = Clamp(output, low, high, tuple(absorbed))
    return found


def find_slopes(graph: Graph) -> Mapping[str, Clamp]:
    """For each MAC layer whose real output only feeds a LeakyRelu or PRelu that is quantized: its Clamp."""
    readers = _readers(graph)
    found: dict[str, Clamp] = {}
    for head in graph.nodes:
        output = head.outputs[0]
        followers = readers.get(output, [])
        if head.op not in MACS or graph.format(output) is not None or output in graph.outputs:
            continue
        if len(followers) == 1 and followers[0].op in SLOPED and graph.format(followers[0].outputs[0]) is not None:
            found[head.name] = Clamp(followers[0].outputs[0], nodes=(followers[0],), slope=followers[0])
    return found


def _readers(graph: Graph) -> dict[str, list[Node]]:
    """The nodes that read each value."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers
