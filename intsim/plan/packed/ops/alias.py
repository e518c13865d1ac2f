"""The same codes under another name or in another shape: nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow

OPS = frozenset({"copy", "flatten", "reshape", "squeeze", "unsqueeze"})


class Alias(PackedOp):
    """A layer that hands its input on."""

    alias = True
    kernel = "alias"
    reason = "the same bytes"

    def __init__(self, layer: Layer, image: Image) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs[:1], layer.outputs[0], image

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        raise AssertionError("an alias has no row")


def accept_alias(layer: Layer, source: Image, image: Image) -> Alias | str:
    """The packed op of a layer that moves nothing within an image; in words why there is none."""
    if source.elements != image.elements:
        return "it moves elements between images"
    if (source.offset, source.zero) != (image.offset, image.zero):
        return "its formats differ"
    if image.rows and source.rows and _same_bytes(source, image):
        return Alias(layer, image)
    if len(image.shape) > 1 and source.rows != image.rows:
        return "between images, channels last, and matrices, row by row, elements change places"
    return Alias(layer, replace(source, shape=image.shape))


def _same_bytes(a: Image, b: Image) -> bool:
    """Whether the elements of two stacks of matrices lie in one order at the same places."""
    return a.channels == b.channels or a.elements == a.height * a.width * a.pixel == b.height * b.width * b.pixel
