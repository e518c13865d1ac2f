"""Transpose within an image: pixels in another order, or another axis as the channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from intsim.kernels.packed.ops import transpose
from intsim.kernels.packed.rows import IN, OUT
from intsim.lowering.lowered import Layer
from intsim.plan.packed.axes import axis_offsets, has_axes, memory_axes
from intsim.plan.packed.image import BYTE, Image
from intsim.plan.packed.op import PackedOp, Place, TableRow
from intsim.plan.packed.ops.copy import copied

Array = np.ndarray[Any, Any]


class PackedTranspose(PackedOp):
    """out's axis i is the input's axis perm[i]."""

    def __init__(self, layer: Layer, source: Image, image: Image, perm: tuple[int, ...]) -> None:
        """perm: of the axes without the batch."""
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs[:1], layer.outputs[0], image
        line, column, channel = memory_axes(image)
        self._line, self._column, self._channel = (
            None if axis is None else perm[axis] for axis in (line, column, channel)
        )
        self._moved = self._channel != memory_axes(source)[2]
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "blocks of 16 by 16 bytes" if self._moved else "pixels copied whole"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place = places[self.inputs[0]], places[self.output]
        offsets = [axis_offsets(source, axis) for axis in (self._line, self._column, self._channel)]
        if not self._moved:
            return copied(source, place, offsets[0], offsets[1], self.image.channels)
        return _turned(source, place, offsets, self._line == memory_axes(source.image)[2])


def _turned(source: Place, place: Place, offsets: list[Array], lines: bool) -> TableRow:
    """Another axis becomes the channels; lines: whether the input's channels become lines, else columns."""
    image = place.image
    others, own = (image.width, image.height) if lines else (image.height, image.width)
    steps = (image.pixel, place.line) if lines else (place.line, image.pixel)
    keep = [offsets[1 if lines else 0], offsets[2]]
    filled = {
        transpose.V_OFFSETS: keep[0].ctypes.data,
        transpose.C_OFFSETS: keep[1].ctypes.data,
        transpose.LENGTH: own,
        transpose.CHANNELS: image.channels,
        transpose.OUT_V: steps[0],
        transpose.OUT_U: steps[1],
    }
    return TableRow(transpose.make(), others, filled, {IN: source, OUT: place}, keep)


def accept_transpose(layer: Layer, source: Image, image: Image) -> PackedTranspose | str:
    """The packed op of a transposition within images; in words why there is none."""
    perm = tuple(int(axis) for axis in layer.parameters["perm"])
    own = tuple(axis - 1 for axis in perm[1:])
    if perm[:1] != (0,):
        return "it moves elements between images"
    if not has_axes(source):
        return "its input is another shape of an image"
    if (source.offset, source.zero) != (image.offset, image.zero):
        return "its formats differ"
    if sorted(own) != list(range(len(source.shape))) or image.shape != tuple(source.shape[axis] for axis in own):
        return "its shape is not the declared one"
    if image.size != BYTE and own[memory_axes(image)[2]] != memory_axes(source)[2]:
        return "another axis becomes its channels, which has no packed form of 16-bit codes"
    return PackedTranspose(layer, source, image, own)
