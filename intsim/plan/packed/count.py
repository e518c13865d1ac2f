"""Counts of a packed image's codes: histograms, extremes, zeros."""

from __future__ import annotations

from collections.abc import Mapping

from intsim.kernels.packed import count as kernel
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.rows import IN
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import External, PackedOp, Place, Row

HISTOGRAM, FOUND = "#histogram", "#found"
"""Behind a value's name: int64[images or 1, 256] by stored byte, and int64[3], least, greatest, zeros."""

BYTES = 256


class Count(PackedOp):
    """A pass over a value's bytes; histogram: whether it counts each byte, else extremes and zeros."""

    def __init__(self, name: str, image: Image, bits: int, histogram: bool, per_image: bool, isa: str) -> None:
        self.layers, self.inputs, self.output, self.image = (), (name,), "", image
        self.histogram, self.per_image = histogram, per_image
        self._bits, self._isa = bits, isa
        self.kernel = "histogram" if histogram else "extremes"
        self.reason = "tapped"

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        place, image = places[self.inputs[0]], self.image
        columns = {
            kernel.CHANNELS: image.channels,
            kernel.WIDTH: image.width,
            kernel.LINE: place.line,
            kernel.PIXEL: image.pixel,
            kernel.ZERO: image.zero,
            kernel.FIRST: image.offset - (1 << (self._bits - 1)) if image.offset else 0,
            kernel.CODES: 1 << self._bits,
        }
        if not self.histogram:
            function = kernel.make_extremes(ISAS[self._isa])
            result = External(self.inputs[0] + FOUND, 0)
        else:
            few = 1 << self._bits <= kernel.FEW
            function = kernel.make_few(ISAS[self._isa]) if few else kernel.make_histogram(int(kernel.can_compress()))
            result = External(self.inputs[0] + HISTOGRAM, 8 * BYTES if self.per_image else 0)
        return Row(function, image.height, columns, {IN: place, kernel.RESULT: result})
