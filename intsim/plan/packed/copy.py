"""Nearest-neighbour Resize, and Concat of channels: bytes copied from place to place."""

from __future__ import annotations

from collections.abc import Mapping
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
