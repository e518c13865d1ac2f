"""Chains of lowered layers, built by hand: what one packed op computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.lowering.lowered import Layer, Lowered
from intsim.target import Target

Array = np.ndarray[Any, Any]


def chain(
    inputs: dict[str, tuple[tuple[int | None, ...], Format]],
    layers: Sequence[tuple[str, str, tuple[str, ...], tuple[int | None, ...], Format, dict[str, Any]]],
) -> Lowered:
    """A network of layers: each the value it makes, its op, what it reads, shape, format, parameters.

    Values whose names end in `#accumulator` are raw accumulators; the last layer's value is the output.
    """
    formats: dict[str, Format | None] = {name: format for name, (_, format) in inputs.items()}
    shapes = {name: shape for name, (shape, _) in inputs.items()}
    made = []
    for name, op, reads, shape, format, parameters in layers:
        formats[name] = format
        shapes[name.partition("#")[0]] = shape
        made.append(Layer(name, op, reads, (name,), parameters, name.partition("#")[0]))
    values = {name: Value(name, shape, formats.get(name)) for name, shape in shapes.items()}
    nodes = tuple(Node(layer.name, layer.op, layer.inputs, layer.outputs) for layer in made)
    output = made[-1].outputs[0]
    graph = Graph("chain", tuple(inputs), (output,), nodes, values, {}, 21)
    accumulators = {name.partition("#")[0]: name for name in formats if name.endswith("#accumulator")}
    names = {name: name for name in inputs}
    return Lowered(graph, Target("diffquant"), tuple(made), formats, names, {output: output}, accumulators)


def codes(generator: np.random.Generator, shape: tuple[int, ...], format: Format) -> Array:
    """Codes of a format, both ends of it among them."""
    drawn = generator.integers(format.low, format.high, shape, endpoint=True)
    drawn.flat[:2] = format.low, format.high
    return drawn.astype(format.dtype)
