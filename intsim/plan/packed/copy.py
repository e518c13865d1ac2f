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
        self.kernel = f"{layer.op}_u8_u8"
        self.reason = "pixels copied whole"

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        source, place, image = places[self.inputs[0]], places[self.output], self.image
        keep = [
            np.ascontiguousarray(self._lines * source.line, np.int64),
            np.ascontiguousarray(self._columns * source.image.pixel, np.int64),
        ]
        columns = {
            kernel.ROW_OFFSETS: keep[0].ctypes.data,
            kernel.COLUMN_OFFSETS: keep[1].ctypes.data,
            kernel.BYTES: image.channels,
            kernel.OUT_LINE: place.line,
            kernel.OUT_PIXEL: image.pixel,
            kernel.WIDTH: image.width,
        }
        function = kernel.make(kernel.width_for(image.channels))
        return Row(function, image.height, columns, {IN: source, OUT: place}, keep)


class PackedConcat(PackedOp):
    """Images side by side along their channels."""

    def __init__(self, layer: Layer, sources: Sequence[Image], image: Image) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs, layer.outputs[0], image
        self._sources = tuple(sources)
        self.kernel = f"{layer.op}_u8_u8"
        self.reason = "channels copied side by side"

    def parts(self) -> Sequence[PackedOp]:
        firsts = accumulate((s.channels for s in self._sources), initial=0)
        return tuple(
            _Channels(self, name, source, first)
            for name, source, first in zip(self.inputs, self._sources, firsts, strict=False)
        )

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        raise AssertionError("its parts have rows")


class _Channels(PackedOp):
    """One image of a concatenation, from channel `first` of the output on."""

    def __init__(self, whole: PackedConcat, name: str, source: Image, first: int) -> None:
        self.layers, self.inputs, self.output, self.image = whole.layers, (name,), whole.output, whole.image
        self._source, self._first = source, first
        self.kernel, self.reason = whole.kernel, whole.reason

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        source, place, image = places[self.inputs[0]], places[self.output], self.image
        keep = [
            np.arange(image.height, dtype=np.int64) * source.line,
            np.arange(image.width, dtype=np.int64) * source.image.pixel,
        ]
        columns = {
            kernel.ROW_OFFSETS: keep[0].ctypes.data,
            kernel.COLUMN_OFFSETS: keep[1].ctypes.data,
            kernel.BYTES: self._source.channels,
            kernel.OUT_LINE: place.line,
            kernel.OUT_PIXEL: image.pixel,
            kernel.WIDTH: image.width,
        }
        target = replace(place, channel=self._first)
        function = kernel.make(kernel.width_for(self._source.channels))
        return Row(function, image.height, columns, {IN: source, OUT: target}, keep)


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
