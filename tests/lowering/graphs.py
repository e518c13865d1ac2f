"""Small graphs, written as data: no importer between a test and what it tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph, Node, Value

Array = np.ndarray[Any, Any]


def power(exponent: int, bits: int = 8, **changes: Any) -> Format:
    """A signed format with a shared exponent."""
    return Format(bits, scale=(2.0**exponent,), **changes)


def affine(scale: float, zero_point: int = 0, *, signed: bool = False) -> Format:
    """An 8-bit format with a float32 scale."""
    return Format(8, signed, scale=(float(np.float32(scale)),), zero_point=(zero_point,))


def graph(
    nodes: list[Node],
    formats: dict[str, Format | None],
    shapes: dict[str, tuple[int | None, ...]],
    constants: dict[str, Array] | None = None,
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
) -> Graph:
    """A Graph of these nodes; a value without a shape here is [1, 2, 4, 4], a constant has its own."""
    constants = constants or {}
    read_or_made = [n for node in nodes for n in (*node.inputs, *node.outputs)]
    names = dict.fromkeys([*formats, *shapes, *constants, *inputs, *read_or_made])
    shapes = {**shapes, **{name: array.shape for name, array in constants.items()}}
    values = {n: Value(n, shapes.get(n, (1, 2, 4, 4)), formats.get(n)) for n in names if n}
    return Graph("test", inputs, outputs, tuple(nodes), values, constants, 21)


CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}


def conv_graph(
    x: Format | None,
    w: Format,
    y: Format | None,
    bias: Array | None = None,
    bias_format: Format | None = None,
    tail: tuple[Node, ...] = (),
    output: str = "y",
) -> Graph:
    """x -> Conv 1x1 (2 -> 2 channels, weights 1, 2, 3, 4) -> y, with nodes after it if given."""
    weights = np.array([[1, 2], [3, 4]], np.int8).reshape(2, 2, 1, 1)
    constants: dict[str, Array] = {"w": weights}
    formats: dict[str, Format | None] = {"x": x, "w": w, "y": y}
    names = ["x", "w"]
    if bias is not None:
        constants["b"], formats["b"] = bias, bias_format
        names.append("b")
    first = "y" if not tail else tail[0].inputs[0]
    if tail:
        formats[first] = None
    node = Node("conv", "Conv", tuple(names), (first,), CONV)
    return graph([node, *tail], formats, {}, constants, outputs=(output,))
