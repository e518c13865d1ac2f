"""Lowered: what each layer of a graph computes on a target, in integers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from intsim.formats import Format
from intsim.graph import Graph, find_tensor
from intsim.ops import mixing_node
from intsim.target import Target

CONVS = ("conv", "post_conv")
MAC_LAYERS = (*CONVS, "matmul", "post_matmul")
"""The layers that accumulate products; the convolutions among them have their channels on axis 1, the others last."""


@dataclass(frozen=True)
class Layer:
    """One call of a spec function: outputs = spec.<op>(*inputs, **parameters).

    op: the stem of the function in intsim.spec and intsim.kernels. inputs, outputs: names in Lowered.values.
    parameters: the other arguments: integers, strings, integer arrays (float32 where the target defines it so).
    node: the graph node that it belongs to. exact: False where the result is float arithmetic that no integer
    kernel defines (a float island or tail); note: why, or which fusion this layer is.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: Mapping[str, Any]
    node: str
    exact: bool = True
    note: str = ""


@dataclass(frozen=True)
class Lowered:
    """Graph x Target: layers in topological order.

    values: the Format of every value; None for reals. A raw accumulator is the value `accumulator_of(output)`.
    outputs: graph output name -> the value that holds it (codes where they exist, else reals).
    inputs: graph input name -> the value that it becomes (its codes, where the input is quantized at once).
    """

    graph: Graph
    target: Target
    layers: tuple[Layer, ...]
    values: Mapping[str, Format | None]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    accumulators: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def mixing_node(self) -> str | None:
        """The node that computes across images, where the batch is open: all images are then run at once."""
        return mixing_node(self.graph)

    def producer(self, name: str) -> Layer | None:
        """The layer whose output is `name`, None for an input."""
        return next((layer for layer in self.layers if name in layer.outputs), None)

    def find_value(self, name: str, where: str) -> str:
        """The value of a user's tensor or node name. Errors: UnknownName, see `intsim.graph.find_tensor`."""
        if name in self.values:
            return name
        nodes = {n: layer.node for layer in self.layers if layer.op != "constant" for n in layer.outputs}
        return find_tensor(name, {value: (nodes.get(value, ""),) for value in self.values}, where)


def accumulator_of(output: str) -> str:
    """The name of the raw accumulator of the output tensor `output`."""
    return f"{output}#accumulator"
