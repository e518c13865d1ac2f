"""Clamps that no other op carries out."""

from __future__ import annotations

from collections.abc import Mapping

from intsim.kernels.packed.ops import clip as kernel
from intsim.kernels.packed.rows import HIGH, IN, LOW, OFFSET, OUT
from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow
from intsim.plan.packed.window import WRONG_SHAPE


class PackedClip(PackedOp):
    """Each code clamped to the codes `low` and `high`."""

    def __init__(self, layer: Layer, image: Image) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs, layer.outputs[0], image
        self.kernel = f"clip_{image.kind}_{image.kind}"
        self.reason = "on what is stored, whose order is that of the codes"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place, image = places[self.inputs[0]], places[self.output], self.image
        run, lines = image.width * image.pixel // image.size, image.height
        if not (source.padding.any or place.padding.any):
            run, lines = run * lines, 1
        offset = source.image.offset
        low, high = (int(self.layers[0].parameters[key]) + offset for key in ("low", "high"))
        columns = {
            LOW: low,
            HIGH: high,
            OFFSET: image.offset - offset,
            kernel.LINE: source.line,
            kernel.OUT_LINE: place.line,
            kernel.CODES: run,
        }
        return TableRow(kernel.make(image.size), lines, columns, {IN: source, OUT: place})


def accept_clip(layer: Layer, source: Image, image: Image) -> PackedClip | str:
    """The packed op of a clamp; in words why there is none."""
    if source.geometry != image.geometry:
        return WRONG_SHAPE
    if source.few:
        return "its input has few channels"
    if source.zero - source.offset != image.zero - image.offset:
        return "its formats differ"
    return PackedClip(layer, image)
