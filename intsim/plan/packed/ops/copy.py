"""Nearest-neighbour Resize, and Concat: bytes copied from place to place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from intsim.kernels.packed.ops import copy as kernel
from intsim.kernels.packed.rows import IN, OUT
from intsim.kernels.resize_nearest import resize_nearest
from intsim.lowering.lowered import Layer
from intsim.plan.packed.axes import axis_offsets
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow
from intsim.plan.packed.window import WRONG_SHAPE

Array = np.ndarray[Any, Any]

IMAGE_AXES = 2


class PackedResize(PackedOp):
    """Each output pixel is one of the input's."""

    def __init__(self, layer: Layer, image: Image, lines: Array, columns: Array) -> None:
        """lines, columns: the index in the input of each output line and column."""
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs[:1], layer.outputs[0], image
        self._lines, self._columns = lines, columns
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "pixels copied whole"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        return _row(places[self.inputs[0]], places[self.output], self._lines, self._columns)


class PackedConcat(PackedOp):
    """Images side by side along their channels, lines or columns."""

    def __init__(self, layer: Layer, sources: Sequence[Image], image: Image, axis: int) -> None:
        """axis: of the value without the batch."""
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs, layer.outputs[0], image
        self._sources, self._axis = tuple(sources), axis
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "pixels copied side by side"

    def parts(self) -> Sequence[PackedOp]:
        firsts = accumulate((s.shape[self._axis] for s in self._sources), initial=0)
        return tuple(_Part(self, name, self._axis, first) for name, first in zip(self.inputs, firsts, strict=False))

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        raise AssertionError("its parts have rows")


class _Part(PackedOp):
    """One image of a concatenation, from element `first` of the output on."""

    def __init__(self, whole: PackedConcat, name: str, axis: int, first: int) -> None:
        self.layers, self.inputs, self.output, self.image = whole.layers, (name,), whole.output, whole.image
        self._axis, self._first = axis, first
        self.kernel, self.reason = whole.kernel, whole.reason

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place = places[self.inputs[0]], places[self.output]
        place = replace(place, channel=int(axis_offsets(place, self._axis)[self._first]))
        return _row(source, place, np.arange(source.image.height), np.arange(source.image.width))


def _row(source: Place, place: Place, lines: Array, columns: Array) -> TableRow:
    """Pixels of the source, by its lines and columns, into each line and column of a place."""
    return copied(source, place, lines * source.line, columns * source.image.pixel, source.image.channels)


def copied(source: Place, place: Place, lines: Array, columns: Array, channels: int) -> TableRow:
    """`channels` channels of the source's pixels, by the offsets of lines and columns, into a place line by line."""
    keep = [np.ascontiguousarray(lines, np.int64), np.ascontiguousarray(columns, np.int64)]
    size = channels * place.image.size
    filled = {
        kernel.ROW_OFFSETS: keep[0].ctypes.data,
        kernel.COLUMN_OFFSETS: keep[1].ctypes.data,
        kernel.BYTES: size,
        kernel.OUT_LINE: place.line,
        kernel.OUT_PIXEL: place.image.pixel,
        kernel.WIDTH: len(columns),
    }
    return TableRow(kernel.make(kernel.width_for(size)), len(lines), filled, {IN: source, OUT: place}, keep)


def accept_concat(layer: Layer, sources: Sequence[Image], image: Image) -> PackedConcat | str:
    """The packed op of a concatenation within images; in words why there is none."""
    axis = int(layer.parameters["axis"]) % (len(image.shape) + 1) - 1
    if axis < 0:
        return "it concatenates images"
    if not all(s.canonical or s.is_matrix for s in (*sources, image)) or len({s.rows for s in (*sources, image)}) > 1:
        return "its input is another shape of an image"
    if any(s.offset != image.offset for s in sources):
        return "its formats differ"
    lengths = [s.shape[axis] for s in sources]
    if any((*s.shape[:axis], sum(lengths), *s.shape[axis + 1 :]) != image.shape for s in sources):
        return WRONG_SHAPE
    return PackedConcat(layer, sources, image, axis)


def accept_resize(layer: Layer, source: Image, image: Image) -> PackedResize | str:
    """The packed op of a nearest-neighbour Resize of lines and columns; in words why there is none."""
    if not (source.canonical and image.canonical) or len(source.shape) != IMAGE_AXES + 1:
        return "it is no resize of images"
    if source.channels != image.channels or (source.offset, source.zero) != (image.offset, image.zero):
        return "it resizes channels, or changes the format"
    index = np.arange(source.height * source.width, dtype=np.int32).reshape(1, 1, source.height, source.width)
    taken = resize_nearest(index, **layer.parameters)
    if taken.shape[2:] != (image.height, image.width):
        return "its shape is not the declared one"
    return PackedResize(layer, image, taken[0, 0, :, 0] // source.width, taken[0, 0, 0] % source.width)
