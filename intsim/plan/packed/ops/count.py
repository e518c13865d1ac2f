"""Counts of a packed image's codes: histograms, extremes, zeros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from intsim.formats import Format
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ops import count as kernel
from intsim.kernels.packed.rows import IN
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import External, PackedOp, Place, TableRow
from intsim.taps.counters import BYTES, COUNTED, StoredClamp, Tally


class Count(PackedOp):
    """A pass over a value's bytes; histogram: whether it counts each byte, else what counters.NOTHING names."""

    def __init__(self, name: str, image: Image, bits: int, histogram: bool, isa: str) -> None:
        self.layers, self.inputs, self.output, self.image = (), (name,), "", image
        self.histogram, self._bits, self._isa = histogram, bits, isa
        self.kernel = "histogram" if histogram else "extremes"
        self.reason = "tapped"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
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
        else:
            few = 1 << self._bits <= kernel.FEW
            function = kernel.make_few(ISAS[self._isa]) if few else kernel.make_histogram(int(kernel.can_compress()))
        return TableRow(
            function, image.height, columns, {IN: place, kernel.RESULT: External(self.inputs[0] + COUNTED, 0)}
        )


def tally(op: PackedOp, format: Format, wanted: tuple[bool, bool], known: Mapping[str, Tally]) -> Tally:
    """The Tally of what an op makes; wanted: whether it takes a histogram, and whether one for each image.

    known: the tallies of values before it. What an alias or a clamp makes of one of them has counts that follow from
    it, so that its own bytes are not counted.
    """
    image, histogram, per_image = op.image, wanted[0], wanted[1]
    own = Tally(format, image.offset, image.zero, image.elements, histogram, per_image)
    source = known.get(op.inputs[0]) if op.alias or [layer.op for layer in op.layers] == ["clip"] else None
    if source is None or source.zero - source.offset != own.zero - own.offset:
        return own
    own = replace(own, offset=source.offset, zero=source.zero)  # it is counted as the source's bytes
    if replace(source, format=format) != own:
        return replace(own, offset=image.offset, zero=image.zero)
    if op.alias:
        return replace(own, clamp=StoredClamp(op.inputs[0], 0, BYTES - 1))
    p = op.layers[0].parameters
    low, high = (min(max(int(p[key]) + own.offset, 0), BYTES - 1) for key in ("low", "high"))
    return replace(own, clamp=StoredClamp(op.inputs[0], low, high))
