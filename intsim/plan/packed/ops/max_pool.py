"""Max pools: where each window's taps lie. A maximum over lines and columns is one window of the whole image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ops import max_pool as kernel
from intsim.kernels.packed.rows import IN, OUT
from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp, Place, TableRow
from intsim.plan.packed.window import WRONG_SHAPE, Geometry, fits, flat, window

IMAGE_AXES = ((2,), (2, 3))
"""Lines and columns, or columns alone."""

UNROLLED = {(2, 2), (3, 3)}
"""Kernels that have a compiled form of their own; others are looped over."""


class PackedMaxPool(PackedOp):
    """The largest code of each window, clipped to the image."""

    def __init__(self, layer: Layer, image: Image, geometry: Geometry, isa: str) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), layer.inputs, layer.outputs[0], image
        self._geometry, self._isa = geometry, isa
        self.kernel = f"{layer.op}_{image.kind}_{image.kind}_{isa}"
        self.reason = "on what is stored, whose order is that of the codes"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place, g = places[self.inputs[0]], places[self.output], self._geometry
        before = g.padding.top, g.padding.left
        lengths = (source.image.height, source.image.width), (self.image.height, self.image.width)
        keep = [
            kernel.tap_offsets(lengths[0][d], lengths[1][d], g.kernel[d], g.strides[d], g.dilations[d], before[d], size)
            for d, size in enumerate((source.line, source.image.pixel))
        ]
        unrolled = g.kernel if g.kernel in UNROLLED else (0, 0)
        pixel, number = self.image.pixel, ISAS[self._isa]
        columns = {
            kernel.ROW_TAPS: keep[0].ctypes.data,
            kernel.COLUMN_TAPS: keep[1].ctypes.data,
            kernel.KERNEL_H: g.kernel[0],
            kernel.KERNEL_W: g.kernel[1],
            kernel.PIXEL: pixel,
            kernel.OUT_LINE: place.line,
            kernel.WIDTH: self.image.width,
        }
        function = kernel.make(*unrolled, kernel.width_for(pixel, number), self.image.size)
        return TableRow(function, self.image.height, columns, {IN: source, OUT: place}, list(keep))


def accept_max_pool(layer: Layer, source: Image, image: Image, isa: str) -> PackedMaxPool | str:
    """The packed op of a max pool; in words why there is none."""
    if source.few:
        return "its input has few channels"
    if not source.canonical or not 1 <= len(layer.parameters["kernel"]) <= 2:
        return "it has more than two spatial axes"
    p = layer.parameters
    kernel_, strides, dilations = (flat(tuple(p[key]), 1) for key in ("kernel", "strides", "dilations"))
    half = len(p["pads"]) // 2
    pads = (*flat(tuple(p["pads"][:half]), 0), *flat(tuple(p["pads"][half:]), 0))
    ceil_mode = bool(p.get("ceil_mode", False))
    if image.channels != source.channels or not fits(source, image, kernel_, strides, dilations, pads, ceil_mode):
        return WRONG_SHAPE
    return PackedMaxPool(layer, image, window(source, image, kernel_, strides, dilations, pads), isa)


def accept_reduce_max(layer: Layer, source: Image, image: Image, isa: str) -> PackedMaxPool | str:
    """The packed op of a maximum over lines and columns; in words why there is none."""
    axes = tuple(sorted(int(a) % (len(source.shape) + 1) for a in layer.parameters["axes"]))
    if not source.canonical or axes not in IMAGE_AXES or len(source.shape) != len(axes) + 1:
        return f"it is a maximum over the axes {axes}"
    if source.few:
        return "its input has few channels"
    if image.rows or image.elements != source.channels:
        return WRONG_SHAPE
    if (source.offset, source.zero) != (image.offset, image.zero):
        return "its formats differ"
    pixel = replace(image, channels=source.channels, height=1, width=1)
    size = source.height, source.width
    return PackedMaxPool(layer, pixel, window(source, pixel, size, (1, 1), (1, 1), (0, 0, 0, 0)), isa)
