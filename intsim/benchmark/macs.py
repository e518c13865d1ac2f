"""MACs: how many products a model adds up for one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from intsim.lowering.lowered import CONVS, MAC_LAYERS, Layer

if TYPE_CHECKING:
    from intsim.model import Model

Shape = Sequence[int | None]


def count_macs(model: Model) -> int | None:
    """Multiply-accumulates for one image; None where the file leaves a shape open that decides it."""
    layers = macs_by_layer(model)
    return None if None in layers.values() else sum(n for n in layers.values() if n) // (model.batch or 1)


def macs_by_layer(model: Model) -> dict[str, int | None]:
    """The multiply-accumulates of each layer that has any, for one image or one fixed batch, by the layer's name.

    A convolution has output elements * input channels of a group * kernel elements, padding counted as any
    other; a matrix product has output elements * inner length. Adds, pools and requantizing count nothing.
    """
    outputs = {accumulator: name for name, accumulator in model.lowered.accumulators.items()}
    layers: dict[str, int | None] = {}
    for layer in model.lowered.layers:
        if layer.op not in MAC_LAYERS:
            continue
        output = model.graph.values.get(outputs.get(layer.outputs[0], layer.outputs[0]))
        terms = _terms(model, layer)
        if output is None or terms is None or None in output.shape[1:]:
            layers[layer.name] = None
        else:
            layers[layer.name] = math.prod(length or 1 for length in output.shape) * terms
    return layers


def _terms(model: Model, layer: Layer) -> int | None:
    """The products that are added up for one element of the layer's output."""
    parameter = layer.parameters.get("w" if layer.op in CONVS else "b")
    shape: Shape
    if parameter is not None:
        shape = parameter.shape
    else:
        weights = model.graph.values.get(layer.inputs[1])
        if weights is None:
            return None
        shape = weights.shape
    terms = shape[1:] if layer.op in CONVS else shape[-2:-1] or shape
    known = [length for length in terms if length is not None]
    return math.prod(known) if len(known) == len(terms) else None
