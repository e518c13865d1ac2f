"""Nearest-neighbour Resize, and Concat of channels: bytes copied from place to place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from intsim.kernels.packed import copy as kernel
from intsim.kernels.packed.rows import IN, OUT
from intsim.kernels.resize_nearest import resize_nearest
from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, Row

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

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        return _row(places[self.inputs[0]], places[self.output], self._lines, self._columns)


class PackedConcat(PackedOp):
    """Images side by side along their channels."""

    def __init__(self, layer: Layer, sources: Sequence[Image], image: Image) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs, layer.outputs[0], image
        self._sources = tuple(sources)
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "channels copied side by side"

    def parts(self) -> Sequence[PackedOp]:
        firsts = accumulate((s.channels for s in self._sources), initial=0)
        return tuple(_Channels(self, name, first) for name, first in zip(self.inputs, firsts, strict=False))

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        raise AssertionError("its parts have rows")


class _Channels(PackedOp):
    """One image of a concatenation, from channel `first` of the output on."""

    def __init__(self, whole: PackedConcat, name: str, first: int) -> None:
        self.layers, self.inputs, self.output, self.image = whole.layers, (name,), whole.output, whole.image
        self._first = first
        self.kernel, self.reason = whole.kernel, whole.reason

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        source = places[self.inputs[0]]
        place = replace(places[self.output], channel=self._first * self.image.size)
        return _row(source, place, np.arange(self.image.height), np.arange(self.image.width))


def _row(source: Place, place: Place, lines: Array, columns: Array) -> Row:
    """Pixels of the source, by its lines and columns, into each line and column of a place."""
    keep = [
        np.ascontiguousarray(lines * source.line, np.int64),
        np.ascontiguousarray(columns * source.image.pixel, np.int64),
    ]
    filled = {
        kernel.ROW_OFFSETS: keep[0].ctypes.data,
        kernel.COLUMN_OFFSETS: keep[1].ctypes.data,
        kernel.BYTES: source.image.channels * source.image.size,
        kernel.OUT_LINE: place.line,
        kernel.OUT_PIXEL: place.image.pixel,
        kernel.WIDTH: place.image.width,
    }
    function = kernel.make(kernel.width_for(source.image.channels * source.image.size))
    return Row(function, place.image.height, filled, {IN: source, OUT: place}, keep)


def accept_concat(layer: Layer, sources: Sequence[Image], image: Image) -> PackedConcat | str:
    """The packed op of a concatenation of channels; in words why there is none."""
    if int(layer.parameters["axis"]) % (len(image.shape) + 1) != 1:
        return "it concatenates along another axis than the channels"
    if not all(s.canonical for s in (*sources, image)):
        return "its input is another shape of an image"
    if any((s.height, s.width, s.offset) != (image.height, image.width, image.offset) for s in sources):
        return "its formats differ"
    return PackedConcat(layer, sources, image)


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
