"""Slice and Split within an image: some lines, columns or channels, the pixels copied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.kernels import slice as slices
from intsim.lowering.lowered import Layer
from intsim.plan.packed.axes import axis_offsets, has_axes, memory_axes
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow
from intsim.plan.packed.ops.copy import copied

Array = np.ndarray[Any, Any]


class PackedSlice(PackedOp):
    """Elements of the input by their numbers along each axis; those of the channels lie in one piece."""

    def __init__(self, layer: Layer, image: Image, taken: tuple[Array, ...]) -> None:
        """taken: of each axis without the batch, which of the input's elements, int64."""
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs[:1], layer.outputs[0], image
        self._taken = taken
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "parts of pixels copied"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place = places[self.inputs[0]], places[self.output]
        line, column, channel = memory_axes(self.image)
        lines, columns = (
            axis_offsets(source, axis) if axis is None else axis_offsets(source, axis)[self._taken[axis]]
            for axis in (line, column)
        )
        first = replace(source, channel=int(self._taken[channel][0]) * self.image.size)
        return copied(first, place, lines, columns, self.image.channels)


def accept_slice(layer: Layer, source: Image, image: Image) -> PackedSlice | str:
    """The packed op of a slice of images; in words why there is none."""
    if not has_axes(source) or source.rows != image.rows or not (image.canonical or image.is_matrix):
        return "its input is another shape of an image"
    if (source.offset, source.zero) != (image.offset, image.zero):
        return "its formats differ"
    p, rank = layer.parameters, 1 + len(source.shape)
    cuts = {
        int(axis) % rank: (int(start), int(end), int(step))
        for axis, start, end, step in zip(p["axes"], p["starts"], p["ends"], p["steps"], strict=True)
    }
    if 0 in cuts:
        return "it takes some of the images"
    taken = []
    for axis, length in enumerate(source.shape):
        start, end, step = cuts.get(axis + 1, (0, length, 1))
        numbers = np.arange(length, dtype=np.int64)
        taken.append(slices.slice(numbers, starts=(start,), ends=(end,), axes=(0,), steps=(step,)))
    if tuple(map(len, taken)) != image.shape:
        return "its shape is not the declared one"
    channels = taken[memory_axes(image)[2]]
    if len(channels) > 1 and (np.diff(channels) != 1).any():
        return "it takes channels that lie apart"
    return PackedSlice(layer, image, tuple(taken))
