"""Chains of lowered layers, built by hand: what one packed op computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from intsim import spec
from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.lowering.lowered import Layer, Lowered
from intsim.target import Target
from tests.networks import conv_parameters

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


def form(format: Format) -> dict[str, Any]:
    """What an op that rounds is told of its output's format."""
    zero, bits = format.zero_point[0], format.bits
    return {"zero_point": zero, "bits": bits, "signed": format.signed, "narrow": format.narrow}


class Network:
    """A network that grows layer by layer, with codes for its inputs; a value's shape is that of the spec's result."""

    def __init__(self, images: int = 3, seed: int = 0) -> None:
        self.images = images
        self.random = np.random.default_rng(seed)
        self.values: dict[str, Array] = {}
        self.inputs: dict[str, tuple[tuple[int | None, ...], Format]] = {}
        self.layers: list[tuple[str, str, tuple[str, ...], tuple[int | None, ...], Format, dict[str, Any]]] = []

    def input(self, name: str, shape: tuple[int, ...], format: Format) -> str:
        """Codes of images of that shape."""
        self.inputs[name] = (None, *shape), format
        self.values[name] = codes(self.random, (self.images, *shape), format)
        return name

    def layer(self, name: str, op: str, reads: str, format: Format, **parameters: Any) -> str:
        """The value that an op makes of what it reads, names divided by blanks."""
        names = tuple(reads.split())
        result = getattr(spec, op)(*(self.values[n] for n in names), **parameters)
        self.values[name] = result[0] if isinstance(result, tuple) else result
        self.layers.append((name, op, names, (None, *self.values[name].shape[1:]), format, parameters))
        return name

    def conv(
        self, name: str, x: str, outputs: int, format: Format, kernel: int = 3, clipped: int = 0, **parameters: Any
    ) -> str:
        """A convolution of codes of zero point x_zero, 0 if not given, with its requantizer: a shift, half_up.

        clipped: bits that the largest results have too many.
        """
        channels = self.values[x].shape[1] // parameters.get("groups", 1)
        w = self.random.integers(-128, 128, (outputs, channels, kernel, kernel)).astype(np.int8)
        own = conv_parameters(w=w, bias=self.random.integers(-900, 900, outputs), **parameters)
        sums = self.layer(f"{name}#accumulator", "conv", x, Format(32), **own)
        shift = int(np.abs(self.values[sums]).max()).bit_length() - 8 - clipped
        return self.layer(name, "requantize", sums, format, shift=shift, rounding="half_up", axis=1, **form(format))

    def lowered(self) -> Lowered:
        """The network; the last layer's value is its output."""
        return chain(self.inputs, self.layers)

    @property
    def given(self) -> dict[str, Array]:
        """The codes of the inputs, by name."""
        return {name: self.values[name] for name in self.inputs}
