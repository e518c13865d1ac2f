"""Pad within an image: its pixels copied to where they are wanted, a constant around them first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.kernels import pad as pads
from intsim.kernels.packed.rows import IN
from intsim.lowering.lowered import Layer
from intsim.plan.packed.axes import axis_offsets, memory_axes
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow, aligned_copy
from intsim.plan.packed.ops.copy import copied

Array = np.ndarray[Any, Any]

OUTSIDE = -1
"""In the place of an element's number: the constant."""


class PackedPad(PackedOp):
    """Elements of the input by their numbers along each axis, and a constant where they are OUTSIDE."""

    def __init__(self, layer: Layer, image: Image, taken: tuple[Array, ...], stored: int) -> None:
        """taken: int64 of each axis without the batch, those of the channels in one piece; stored: the constant."""
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs[:1], layer.outputs[0], image
        self.taken, self.stored = taken, stored
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "pixels copied"

    def parts(self) -> Sequence[PackedOp]:
        filled = any((numbers == OUTSIDE).any() for numbers in self.taken)
        return (_Fill(self), _Inside(self)) if filled else (_Inside(self),)

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        raise AssertionError("its parts have rows")


class _Fill(PackedOp):
    """The constant everywhere."""

    def __init__(self, whole: PackedPad) -> None:
        self.layers, self.inputs, self.output, self.image = whole.layers, (), whole.output, whole.image
        self.kernel, self.reason, self._stored = whole.kernel, whole.reason, whole.stored

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        place, image = places[self.output], self.image
        lines, columns = np.zeros(image.height, np.int64), np.zeros(image.width, np.int64)
        row = copied(place, place, lines, columns, image.channels)
        pixel = aligned_copy(np.full(image.pixel // image.size, self._stored, image.dtype))
        row.operands.pop(IN)
        row.columns[IN] = pixel.ctypes.data
        row.keep.append(pixel)
        return row


class _Inside(PackedOp):
    """The elements of the input."""

    def __init__(self, whole: PackedPad) -> None:
        self.layers, self.inputs, self.output, self.image = whole.layers, whole.inputs, whole.output, whole.image
        self.kernel, self.reason, self._taken = whole.kernel, whole.reason, whole.taken

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place = places[self.inputs[0]], places[self.output]
        first = 0
        offsets = []
        for axis in memory_axes(self.image):
            if axis is None:
                offsets.append(axis_offsets(source, axis))
                continue
            (wanted,) = np.nonzero(self._taken[axis] != OUTSIDE)
            first += int(axis_offsets(place, axis)[wanted[0]])
            offsets.append(axis_offsets(source, axis)[self._taken[axis][wanted]])
        lines, columns, channels = offsets
        source, place = replace(source, channel=int(channels[0])), replace(place, channel=first)
        return copied(source, place, lines, columns, len(channels))


def accept_pad(layer: Layer, source: Image, image: Image) -> PackedPad | str:
    """The packed op of a Pad of images; in words why there is none."""
    if not (source.canonical or source.is_matrix) or not (image.canonical or image.is_matrix):
        return "its input is another shape of an image"
    if source.rows != image.rows or (source.offset, source.zero) != (image.offset, image.zero):
        return "its formats differ"
    p, rank = layer.parameters, 1 + len(source.shape)
    begins, ends = (tuple(int(n) for n in half) for half in (p["pads"][:rank], p["pads"][rank:]))
    if begins[0] or ends[0]:
        return "it adds or takes images"
    taken = tuple(
        pads.pad(np.arange(length, dtype=np.int64), pads=(begin, end), mode=str(p["mode"]), value=OUTSIDE)
        for length, begin, end in zip(source.shape, begins[1:], ends[1:], strict=True)
    )
    if tuple(map(len, taken)) != image.shape:
        return "its shape is not the declared one"
    if any((numbers == OUTSIDE).all() for numbers in taken):
        return "nothing of its input is left"
    channels = taken[memory_axes(image)[2]]
    if (np.diff(channels[channels != OUTSIDE]) != 1).any():
        return "it repeats channels"
    return PackedPad(layer, image, taken, int(p.get("value", 0)) + image.offset)
