"""Elements: single elements of a run's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intsim.comparison.explain.explanation import Coordinate, Read
from intsim.lowering.lowered import Layer

Array = np.ndarray[Any, Any]


class Elements:
    """The tensors of one part of a run (an image, or one fixed batch), element by element.

    arrays: codes or reals by value name. constants: the names of those that are no part of a batch. part: how many
    parts lie before this one, by which coordinates are moved to those of the whole run. made: the names of the values
    that `make` computes, an element at a time.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        constants: frozenset[str],
        part: int,
        made: frozenset[str],
        make: Callable[[str, Coordinate], int | float],
    ) -> None:
        self._arrays = arrays
        self._constants = constants
        self._part = part
        self._made = made
        self._make = make

    def array(self, name: str) -> Array:
        """The whole tensor of this part."""
        return self._arrays[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor in this part."""
        return self._arrays[name].shape

    def value(self, name: str, at: Coordinate) -> int | float:
        """The code at a coordinate of this part as a Python integer, the real as a Python float."""
        if name in self._made:
            return self._make(name, at)
        element = self._arrays[name][at]
        return int(element) if element.dtype.kind in "iu" else float(element)

    def code(self, name: str, at: Coordinate) -> int:
        """The code at a coordinate of this part."""
        return int(self.value(name, at))

    def place(self, name: str, at: Coordinate) -> Coordinate:
        """A coordinate of this part in the whole run."""
        if name in self._constants or not at or not self._part:
            return at
        return (at[0] + self._part * self._arrays[name].shape[0], *at[1:])

    def read(self, name: str, at: Coordinate) -> Read:
        """The element at a coordinate of this part, as it stands in an explanation."""
        return Read(name, self.place(name, at), self.value(name, at))


def broadcast_at(shape: tuple[int, ...], at: Coordinate) -> Coordinate:
    """The element of an operand of that shape that NumPy's broadcasting takes for the result's coordinate."""
    inner = at[len(at) - len(shape) :]
    return tuple(0 if length == 1 else i for length, i in zip(shape, inner, strict=True))


def parameter(layer: Layer, key: str, at: Coordinate, default: int = 0) -> Any:
    """A parameter of a layer at a coordinate: the number itself, or its channel's along the layer's axis."""
    value = layer.parameters.get(key, default)
    if np.ndim(value) == 0:
        return value if isinstance(value, np.floating) else int(value)
    element = np.reshape(value, -1)[0] if np.size(value) == 1 else value[at[layer.parameters["axis"]]]
    return element if isinstance(element, np.floating) else int(element)
