"""DepthToSpace in the mode DCR: runs of channels copied to pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow
from intsim.plan.packed.ops.copy import copied
from intsim.plan.packed.window import WRONG_SHAPE


class PackedDepthToSpace(PackedOp):
    """The pixel (h*b + i, w*b + j) has the channels from (i*b + j)*C on of the pixel (h, w)."""

    def __init__(self, layer: Layer, image: Image, block: int) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs[:1], layer.outputs[0], image
        self._block = block
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}"
        self.reason = "channels copied to pixels"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place, b = places[self.inputs[0]], places[self.output], self._block
        run = self.image.channels * self.image.size
        y, x = np.arange(self.image.height), np.arange(self.image.width)
        lines = y // b * source.line + y % b * b * run
        columns = x // b * source.image.pixel + x % b * run
        return copied(source, place, lines, columns, self.image.channels)


def accept_depth_to_space(layer: Layer, source: Image, image: Image) -> PackedDepthToSpace | str:
    """The packed op of a DepthToSpace; in words why there is none."""
    block = int(layer.parameters["blocksize"])
    if layer.parameters["mode"] != "DCR":
        return "in the mode CRD the channels of a pixel lie apart"
    if not (source.canonical and image.canonical) or len(source.shape) != 3:
        return "its input is another shape of an image"
    if (source.offset, source.zero) != (image.offset, image.zero):
        return "its formats differ"
    channels, height, width = source.shape
    if image.shape != (channels // (block * block), height * block, width * block):
        return WRONG_SHAPE
    return PackedDepthToSpace(layer, image, block)
