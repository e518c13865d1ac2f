"""Into packed buffers and out of them: reals and codes of the arrays that a run is given and gives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intsim.kernels.packed.ops import quantize, transfer, transfer_rows
from intsim.kernels.packed.rows import HIGH, IN, LOW, OFFSET, OUT
from intsim.kernels.saturate import limits
from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import External, PackedOp, Place, TableRow, float_bits

REFUSED = "#refused"
"""After an input's name: the array int64[1] where its lines with reals that no format takes are counted."""


class Enter(PackedOp):
    """Codes of an array [images, channels, height, width] into a packed buffer."""

    kernel = "enter"

    def __init__(self, name: str, image: Image) -> None:
        self.layers, self.inputs, self.output, self.image = (), (), name, image
        self.reason = "computed outside"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        place = places[self.output]
        return TableRow(
            (transfer_rows if self.image.rows else transfer).make_enter(self.image.size),
            _units(self.image),
            {**_shape(self.image, place), OFFSET: self.image.offset},
            {IN: External(self.output, self.image.elements * self.image.size), OUT: place},
        )


class Leave(PackedOp):
    """A packed buffer's codes (or accumulators) into an array [images, channels, height, width]."""

    kernel = "leave"

    def __init__(self, name: str, image: Image) -> None:
        self.layers, self.inputs, self.output, self.image = (), (name,), "", image
        self.reason = "wanted outside"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        (name,) = self.inputs
        place = places[name]
        return TableRow(
            (transfer_rows if self.image.rows else transfer).make_leave(self.image.size),
            _units(self.image),
            {**_shape(self.image, place), OFFSET: self.image.offset},
            {IN: place, OUT: External(name, self.image.elements * self.image.size)},
        )


class PackedQuantize(PackedOp):
    """Reals of an array f32[images, channels, height, width] to codes: `quantize` and `quantize_float32`."""

    clips = True

    def __init__(self, layer: Layer, image: Image, rounding: str, scale: np.float32, most: float) -> None:
        self.layers, self.inputs, self.output, self.image = (layer,), (), layer.outputs[0], image
        self._rounding, self._scale, self._most = rounding, scale, most
        self.kernel = f"{layer.op}_f32_{image.kind}__{rounding}"
        self.reason = "reals of the input"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        place, image, p = places[self.output], self.image, self.layers[0].parameters
        low, high = limits(int(p["bits"]), bool(p["signed"]), bool(p.get("narrow", False)))
        zero = image.zero - image.offset
        reciprocal = quantize.has_reciprocal(float(self._scale))
        scale = np.float32(1) / self._scale if reciprocal else self._scale
        few, rounding = image.channels if image.few else 0, quantize.ROUNDINGS[self._rounding]
        if image.rows:
            function = transfer_rows.make_quantize(rounding, int(reciprocal), int(self.counting), image.size)
            columns = _shape(image, place)
        else:
            function = quantize.make(few, rounding, int(reciprocal), int(self.counting), image.size)
            columns = {
                quantize.CHANNELS: image.channels,
                quantize.PIXEL: image.pixel,
                quantize.WIDTH: image.width,
                quantize.PLANE: 4 * image.height * image.width,
                quantize.OUT_LINE: place.line,
            }
        return TableRow(
            function,
            _units(image),
            {
                **columns,
                LOW: float_bits(low - zero),
                HIGH: float_bits(high - zero),
                OFFSET: image.zero,
                quantize.SCALE: float_bits(scale),
                quantize.MOST: float_bits(self._most),
            },
            {
                IN: External(self.layers[0].inputs[0], 4 * image.elements),
                OUT: place,
                **self.counts(),
                quantize.REFUSED: External(self.layers[0].inputs[0] + REFUSED, 0),
            },
        )


def accept_quantize(layer: Layer, image: Image) -> PackedQuantize | str:
    """The packed op of a layer that quantizes reals; in words why there is none."""
    p = layer.parameters
    if layer.op == "quantize_float32":
        scales = np.unique(np.asarray(p["scale"], np.float32))
        rounding, most = "half_even", quantize.ANY
    else:
        scales = np.unique(np.asarray(p["scale"], np.float64))
        rounding, most = str(p["rounding"]), quantize.FINITE
        if len(scales) == 1 and not quantize.is_exact(float(scales[0]), rounding):
            return "its scale is no power of two, or its rounding has no packed form"
    if len(scales) != 1:
        return "its scales differ by channel"
    return PackedQuantize(layer, image, rounding, np.float32(scales[0]), most)


def _units(image: Image) -> int:
    """Units of work: lines, or rows of a matrix."""
    return image.height * (image.width if image.rows else 1)


def _shape(image: Image, place: Place) -> dict[int, int]:
    return {
        transfer.CHANNELS: image.channels,
        transfer.HEIGHT: image.height,
        transfer.WIDTH: image.width,
        transfer.LINE: place.line,
        transfer.PIXEL: image.pixel,
    }
