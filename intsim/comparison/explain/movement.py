"""Data movement: which element of which input an output element is."""

from __future__ import annotations

import numpy as np

from intsim.comparison.explain.elements import Elements
from intsim.comparison.explain.explanation import Coordinate, Line, Step
from intsim.lowering.lowered import Layer

FILL = -1
"""What stands for an element that no input has: the constant of a Pad."""


def explain_movement(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = x[source]: the op itself, done to the numbers of the input's elements, says which one comes here."""
    from intsim import spec

    name = layer.inputs[0]
    shape = elements.shape(name)
    numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    parameters = dict(layer.parameters)
    fills = layer.op == "pad" and parameters["mode"] == "constant"
    if fills:
        parameters["value"] = FILL
    moved = int(getattr(spec, layer.op)(numbers, **parameters)[at])
    output = layer.outputs[0]
    if moved == FILL:
        value = int(layer.parameters["value"])
        line = Line("code", value, "the constant that a Pad puts around the image")
        return Step(output, layer.op, elements.place(output, at), value, (), (), (line,))
    return _moved(elements, layer, at, name, tuple(int(i) for i in np.unravel_index(moved, shape)))


def explain_concat(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """y = the element of the operand in which the coordinate on the axis lies."""
    axis = layer.parameters["axis"] % len(at)
    place = at[axis]
    for name in layer.inputs:
        length = elements.shape(name)[axis]
        if place < length:
            return _moved(elements, layer, at, name, (*at[:axis], place, *at[axis + 1 :]))
        place -= length
    raise AssertionError("a coordinate within the output lies in one of its operands")


def _moved(elements: Elements, layer: Layer, at: Coordinate, name: str, source: Coordinate) -> Step:
    read = elements.read(name, source)
    line = Line("code", read.value, "moved, not computed")
    output = layer.outputs[0]
    return Step(output, layer.op, elements.place(output, at), read.value, (read,), (), (line,))
