"""Depthwise convolutions: packed weights and parameters, and how many lines and columns at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from intsim.kernels.packed import depthwise as kernel
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.requantizers import Requantized
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, LOW, OFFSET, OUT
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import Image, Padding
from intsim.plan.packed.op import PackedOp, Place, Row, aligned_copy
from intsim.plan.packed.window import Geometry

Array = np.ndarray[Any, Any]

RESULTS, RESULTS_STRIDED = 8, 4
"""Results at a time, a multiple of four, which are stored together; more of them where lines share the input lines that
they read than where strides leave little to share."""


class PackedDepthwise(PackedOp):
    """A convolution of each channel by its own kernel, with its requantizer."""

    clips = True

    def __init__(
        self,
        group: Group,
        image: Image,
        weights: Array,
        start: Array,
        requantized: Requantized,
        geometry: Geometry,
        isa: str,
    ) -> None:
        """weights: int8-valued [C, height, width]; start: int64[C], as for PackedConv."""
        self.layers = group.layers
        self.inputs, self.output, self.image = group.layers[0].inputs[:1], group.output, image
        self._weights, self._start, self._requantized, self._clip = weights, start, requantized, group.clip
        self._geometry, self._isa = geometry, isa
        self.products = weights.size * image.height * image.width
        kind = "i32" if image.wide else "u8"
        self.kernel = f"depthwise_u8_{kind}__{requantized.epilogue}_{isa}"
        self.reason = "each channel has its own kernel"

    def padding(self, source: str) -> Padding:
        return self._geometry.padding

    @property
    def _dilated(self) -> bool:
        return self._geometry.dilations != (1, 1)

    @property
    def _columns(self) -> int:
        return kernel.columns_for(self._geometry.kernel[1], self._geometry.strides[1], self.image.width)

    @cached_property
    def packed(self) -> tuple[Array, Array]:
        """Weights and parameters in memory order; made once."""
        number = ISAS[self._isa]
        if self._dilated:
            weights = kernel.pack_taps(self._weights, number)
        else:
            weights = kernel.pack_weights(self._weights, self._geometry.strides[1], self._columns, number)
        channels, r = len(self._weights), self._requantized
        start = np.broadcast_to(self._start + r.start, channels)
        vectors = [np.ascontiguousarray(np.broadcast_to(v, channels)) for v in r.vectors]
        return aligned_copy(weights), aligned_copy(kernel.pack_parameters(start, vectors, number))

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        source, place, g, r = places[self.inputs[0]], places[self.output], self._geometry, self._requantized
        height, width, number = self.image.height, self.image.width, ISAS[self._isa]
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
        variant = r.number(self.image.offset), number, int(self.counting)
        if self._dilated:
            offsets = kernel.tap_offsets(g.kernel, g.dilations, source.line, pixel)
            keep.append(offsets)
            columns |= {
                kernel.TAP_OFFSETS: offsets.ctypes.data,
                kernel.STEPS: len(offsets) // 4,
                kernel.STRIDE_H: g.strides[0] * source.line,
                kernel.STRIDE_W: g.strides[1] * pixel,
            }
            function, total = kernel.make_taps(*variant), height * blocks
        else:
            results = RESULTS if g.strides[0] == 1 else RESULTS_STRIDED
            lines = min(max(results // self._columns, 1), height)
            function = kernel.make(*g.kernel, *g.strides, lines, self._columns, *variant)
            total = -(-height // lines) * blocks
        return Row(function, total, columns, {IN: source, OUT: place, **self.counts()}, keep)
