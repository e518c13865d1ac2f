"""Depthwise convolutions: packed weights and parameters, and how many lines and columns at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.ops import depthwise as kernel
from intsim.kernels.packed.requantizers import Requantized
from intsim.kernels.packed.requantizers_int64 import words
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, LOW, OFFSET, OUT
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import Image, Padding
from intsim.plan.packed.op import PackedOp, Place, TableRow, aligned_copy
from intsim.plan.packed.window import Geometry

Array = np.ndarray[Any, Any]

RESULTS, RESULTS_STRIDED = 8, 4
"""Results at a time, a multiple of four, which are stored together; more of them where lines share the input lines that
they read than where strides leave little to share."""


LONGEST_KERNEL = 511
"""Taps of a kernel whose sums fit 32 bits, of i16 codes and each part of the weights, which is at most 2**7."""


IN_PAIRS = ", neighbours' products added up in 16 bits, which hold them"
"""Why VPMADDUBSW, which saturates, is exact."""


class PackedDepthwise(PackedOp):
    """A convolution of each channel by its own kernel, with its requantizer."""

    clips = True

    def __init__(
        self,
        group: Group,
        source: Image,
        image: Image,
        weights: Array,
        start: Array,
        requantized: Requantized,
        geometry: Geometry,
        form: str,
    ) -> None:
        """weights: [C, height, width]; form, start: int64[C]: as for PackedConv."""
        self.layers = group.layers
        self.inputs, self.output, self.image = group.layers[0].inputs[:1], group.output, image
        self._weights, self._start, self._requantized, self._clip = weights, start, requantized, group.clip
        self._geometry, self._number, self._offset = geometry, ISAS[form], source.offset
        self.products = weights.size * image.height * image.width
        self.kernel = f"depthwise_{source.kind}_{image.kind}__{requantized.epilogue}_{VECTORS[self._number].name}"
        self.reason = "each channel has its own kernel" + IN_PAIRS * VECTORS[self._number].pairs

    def padding(self, source: str) -> Padding:
        return self._geometry.padding

    @property
    def packing(self) -> tuple[object, ...]:
        return self._number, self._offset

    @property
    def _dilated(self) -> bool:
        return self._geometry.dilations != (1, 1)

    @property
    def _columns(self) -> int:
        return kernel.columns_for(self._geometry.kernel[1], self._geometry.strides[1], self.image.width)

    @cached_property
    def packed(self) -> tuple[Array, Array]:
        """Weights and parameters in memory order; made once."""
        if self._dilated:
            weights = kernel.pack_taps(self._weights, self._number)
        else:
            weights = kernel.pack_weights(self._weights, self._geometry.strides[1], self._columns, self._number)
        r, start = self._requantized, self._start + self._requantized.start
        starts = words(start) if r.long else (start,)
        vectors = [np.ascontiguousarray(np.broadcast_to(v, len(self._weights))) for v in (*starts, *r.vectors)]
        return aligned_copy(weights), aligned_copy(kernel.pack_parameters(vectors, self._number))

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place, g, r = places[self.inputs[0]], places[self.output], self._geometry, self._requantized
        height, width, number = self.image.height, self.image.width, self._number
        blocks = -(-self.image.channels // VECTORS[number].lanes)
        weights, parameters = self.packed
        keep = [weights, parameters]
        pixel = source.image.pixel
        columns = {
            LOW: r.low,
            HIGH: r.high,
            OFFSET: r.offset + self.image.offset,
            CLIP_LOW: self._clip[0],
            CLIP_HIGH: self._clip[1],
            kernel.ORIGIN: -g.padding.top * source.line - g.padding.left * pixel,
            kernel.LINE: source.line,
            kernel.PIXEL: pixel,
            kernel.OUT_LINE: place.line,
            kernel.OUT_PIXEL: self.image.pixel,
            kernel.HEIGHT: height,
            kernel.WIDTH: width,
            kernel.BLOCKS: blocks,
            kernel.WEIGHTS: weights.ctypes.data,
            kernel.PARAMETERS: parameters.ctypes.data,
        }
        variant = r.number(self.image.offset, self.image.size), number, int(self.counting)
        if self._dilated:
            codes = VECTORS[number].codes
            offsets = kernel.tap_offsets(g.kernel, g.dilations, source.line, pixel, codes)
            keep.append(offsets)
            columns |= {
                kernel.TAP_OFFSETS: offsets.ctypes.data,
                kernel.STEPS: len(offsets) // codes,
                kernel.STRIDE_H: g.strides[0] * source.line,
                kernel.STRIDE_W: g.strides[1] * pixel,
            }
            function, total = kernel.make_taps(*variant), height * blocks
        else:
            results = RESULTS if g.strides[0] == 1 else RESULTS_STRIDED
            lines = min(max(results // self._columns, 1), height)
            function = kernel.make(*g.kernel, *g.strides, lines, self._columns, *variant)
            total = -(-height // lines) * blocks
        return TableRow(function, total, columns, {IN: source, OUT: place, **self.counts()}, keep)
