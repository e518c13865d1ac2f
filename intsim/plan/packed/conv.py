"""Convolutions and matrix products with constant weights: tiles, packed weights and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from intsim.kernels.packed import conv as kernel
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.requantizers import Requantized
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, LOW, OFFSET, OUT
from intsim.lowering.lowered import Layer
from intsim.plan.packed.depthwise import PackedDepthwise
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import Image, Padding, padded
from intsim.plan.packed.op import PackedOp, Place, Row, aligned_copy
from intsim.plan.packed.window import WRONG_SHAPE, Geometry, fits, window
from intsim.ranges import Bounds
from intsim.summation import PLAIN

Array = np.ndarray[Any, Any]

TILES: Mapping[str, Mapping[int, tuple[int, ...]]] = {
    "avx512vnni": {4: (4, 5, 3), 2: (4, 10, 5, 3), 3: (4, 7, 5, 3), 1: (12, 8, 5, 3)},
    "avxvnni": {2: (6, 5, 4, 3)},
    "avx2": {2: (6, 5, 4, 3)},
}
"""Instruction set -> vectors of channels -> pixels of a tile; both the fastest first.

Small tiles are the fastest, so long as their sums hide the latency of a product: the epilogue of one then runs beside
the products of the next, which is why more of the registers are not used. (Channels come in multiples of 16.)
"""

TILE_COST = {"avx512vnni": 0, "avxvnni": 1, "avx2": 1}
"""What a tile costs beside its pixels, in pixels."""

WASTE = 8
"""A grouped convolution is merged into larger groups, with zeros, up to so many times its products."""


class PackedConv(PackedOp):
    """A convolution with its requantizer; or a matrix product, a convolution whose window is the whole image.

    It takes all images at once (`whole`) where that moves less memory: its weights once, and the input once for each
    block of channels, in the place of the weights for each image.
    """

    clips = True

    def __init__(
        self,
        layers: tuple[Layer, ...],
        source: Image,
        image: Image,
        weights: Array,
        start: Array,
        requantized: Requantized,
        clip: tuple[int, int],
        geometry: Geometry,
        groups: int,
        isa: str,
    ) -> None:
        """weights: int8-valued [outputs, channels / groups, height, width]; start: int64[outputs], the accumulator's
        value for an input of zero bytes' padding; clip: what the output format clips to, in the bits of rows.CLIP_LOW.
        """
        self.layers = layers
        self.inputs = (layers[0].inputs[0],)
        self.output = layers[-1].outputs[0]
        self.source, self.image = source, image
        self._weights, self._start, self._requantized, self._clip = weights, start, requantized, clip
        self._geometry, self._groups, self._isa = geometry, groups, isa
        self.vectors = self._vectors()
        self.pixels = self._pixels(image.height * image.width)
        self.products = weights.size * image.height * image.width
        read = source.height * source.width * source.pixel
        self.whole = weights.size > read * (padded(len(weights)) // (self.vectors * VECTORS[ISAS[isa]].lanes))
        self.kernel = f"{layers[0].op}_u8_{'i32' if image.wide else 'u8'}__{requantized.epilogue}_{isa}"
        self.reason = f"{self.pixels}x{self.vectors * VECTORS[ISAS[isa]].lanes} tiles"

    def _vectors(self) -> int:
        """Vectors of channels of the tile."""
        lanes = VECTORS[ISAS[self._isa]].lanes
        blocks = padded(len(self._weights) // self._groups * self.merge) // lanes
        return next(v for v in TILES[self._isa] if blocks % v == 0)

    def _pixels(self, count: int) -> int:
        """Pixels of the tile, of so many: those that waste least on the last one, which overlaps."""
        sizes = [p for p in TILES[self._isa][self.vectors] if p <= count] or [count]
        return min(sizes, key=lambda p: -(-count // p) * (p + TILE_COST[self._isa]))

    @cached_property
    def merge(self) -> int:
        """How many groups are merged into one, so that input and output channels come in whole words and vectors."""
        outputs, channels = self._weights.shape[:2]
        return merged(self._groups, outputs, channels, self.source.channels)

    @property
    def packing(self) -> tuple[object, ...]:
        return self.vectors, self.merge, self.tap_channels

    @property
    def dense(self) -> bool:
        """Whether one group reads all channels."""
        return self.merge == self._groups

    def padding(self, source: str) -> Padding:
        return self._geometry.padding

    @property
    def joined(self) -> bool:
        """Whether a window's line is one contiguous tap."""
        return self.dense and self._geometry.dilations[1] == 1

    @cached_property
    def packed(self) -> tuple[Array, Array]:
        """Weights and parameters in memory order; made once."""
        v = VECTORS[ISAS[self._isa]]
        outputs, inputs, height, width = self._weights.shape
        parts = self._groups // self.merge
        merged_weights = np.zeros((parts, outputs // parts, height, width, self.tap_channels), np.int8)
        per = outputs // self._groups
        for group in range(self._groups):
            part, inner = divmod(group, self.merge)
            own = self._weights[group * per : (group + 1) * per].transpose(0, 2, 3, 1)
            merged_weights[part, inner * per : (inner + 1) * per, ..., inner * inputs : (inner + 1) * inputs] = own
        taps, channels = (height, width * self.tap_channels) if self.joined else (height * width, self.tap_channels)
        block = v.lanes * self.vectors
        full = padded(outputs // parts)
        matrix = np.zeros((parts, full, taps, channels // 4, 4), np.int8)
        matrix[:, : outputs // parts] = merged_weights.reshape(parts, outputs // parts, taps, channels // 4, 4)
        blocks = matrix.reshape(parts * full // block, self.vectors, v.lanes, taps, channels // 4, 4)
        if v.vnni:
            ordered = aligned_copy(blocks.transpose(0, 3, 4, 1, 2, 5))
        else:
            pairs = blocks.reshape(*blocks.shape[:-1], 2, 2)
            ordered = aligned_copy(pairs.transpose(0, 3, 4, 1, 6, 2, 5), np.dtype(np.int16))
        vectors = [self._start + self._requantized.start, *self._requantized.vectors]
        parameters = np.zeros((len(vectors), parts, full), np.int32)
        for number, values in enumerate(vectors):
            spread = np.broadcast_to(values, outputs).reshape(parts, -1)
            parameters[number, :, : outputs // parts] = spread.astype(np.int64).astype(np.int32)  # modulo 2**32
        parameters = parameters.reshape(len(vectors), -1, block).transpose(1, 0, 2)
        return ordered, aligned_copy(parameters)

    @property
    def tap_channels(self) -> int:
        """Channels of a tap's pixel."""
        return self.source.pixel if self.dense else self.source.channels // self._groups * self.merge

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        source, place = places[self.inputs[0]], places[self.output]
        g, image = self._geometry, self.image
        y, x = np.divmod(np.arange(image.height * image.width), image.width)
        row_offsets = (y * g.strides[0] - g.padding.top) * source.line
        row_offsets += (x * g.strides[1] - g.padding.left) * source.image.pixel
        out_offsets = y * place.line + x * image.pixel
        if self.whole:
            row_offsets, out_offsets = (
                (np.arange(images)[:, None] * p.stride + offsets).reshape(-1)
                for p, offsets in ((source, row_offsets), (place, out_offsets))
            )
        columns = np.arange(1 if self.joined else g.kernel[1]) * g.dilations[1] * source.image.pixel
        tap_offsets = (np.arange(g.kernel[0]) * g.dilations[0] * source.line)[:, None] + columns
        tap_offsets = tap_offsets.reshape(-1)
        steps = self.tap_channels * (g.kernel[1] if self.joined else 1) // 4
        pixels = self._pixels(len(row_offsets))
        tiles = -(-len(row_offsets) // pixels)
        parts = self._groups // self.merge
        lanes = VECTORS[ISAS[self._isa]].lanes
        blocks = padded(len(self._weights) // parts) // (lanes * self.vectors)
        weights, parameters = self.packed
        keep = [weights, parameters, row_offsets, tap_offsets, out_offsets]
        addresses = [array.ctypes.data for array in keep]
        r = self._requantized
        return Row(
            kernel.make(pixels, self.vectors, r.number(image.offset), ISAS[self._isa], int(self.counting)),
            tiles * blocks * parts,
            {
                LOW: r.low,
                HIGH: r.high,
                OFFSET: r.offset + image.offset,
                CLIP_LOW: self._clip[0],
                CLIP_HIGH: self._clip[1],
                kernel.WEIGHTS: addresses[0],
                kernel.PARAMETERS: addresses[1],
                kernel.ROW_OFFSETS: addresses[2],
                kernel.TAP_OFFSETS: addresses[3],
                kernel.OUT_OFFSETS: addresses[4],
                kernel.TAPS: len(tap_offsets),
                kernel.STEPS: steps,
                kernel.PIXELS: len(row_offsets),
                kernel.TILES: tiles,
                kernel.GROUP_BLOCKS: blocks,
                kernel.GROUP_BYTES: self.tap_channels if parts > 1 else 0,
            },
            {IN: source, OUT: place, **self.counts()},
            keep,
        )


def merged(groups: int, outputs: int, channels: int, all_channels: int) -> int:
    """How many of a convolution's groups are merged into one; all of them where no part of them fits."""
    per = outputs // groups
    for merge in range(1, groups):
        if groups % merge == 0 and channels * merge % 4 == 0 and per * merge % 16 == 0 and all_channels > 4:
            return merge
    return groups


def accept_mac(
    group: Group, source: Image, image: Image, bounds: Bounds, isa: str
) -> PackedConv | PackedDepthwise | str:
    """The packed op of a conv or matmul layer and what is fused behind it; in words why there is none."""
    layer = group.layers[0]
    p = layer.parameters
    if len(layer.inputs) != 1:
        return "both operands are activations"
    if not bounds.cannot_overflow or (p.get("summation") or PLAIN).spill_shift:
        return "its sums may leave the accumulator, or are rounded between passes"
    if bounds.needed_bits > 32:
        return f"its sums need {bounds.needed_bits} bits, packed kernels have 32"
    requantized = group.requantized((min(bounds.low), max(bounds.high)))
    if isinstance(requantized, str):
        return requantized
    found = _matrix(layer, source, image) if layer.op == "matmul" else _window(layer, source, image)
    if isinstance(found, str):
        return found
    weights, geometry, groups = found
    if weights.dtype != np.int8 and weights.size and not (weights.min() >= -128 and weights.max() <= 127):
        return "its weights without their zero points have more than 8 bits"
    x_zero = int(p["a_zero" if layer.op == "matmul" else "x_zero"]) + source.offset
    outputs = len(weights)
    start = -x_zero * weights.reshape(outputs, -1).sum(axis=1, dtype=np.int64)
    for extra in (p["bias"], p.get("constant", 0)):
        start = start + np.broadcast_to(np.asarray(0 if extra is None else extra, np.int64), outputs)
    if is_depthwise(weights, groups) and not source.few:
        return PackedDepthwise(group, image, weights[:, 0], start, requantized, geometry, isa)
    if not source.few and merged(groups, outputs, weights.shape[1], source.channels) > WASTE:
        return f"its {groups} groups have too few channels"
    return PackedConv(group.layers, source, image, weights, start, requantized, group.clip, geometry, groups, isa)


def _matrix(layer: Layer, source: Image, image: Image) -> tuple[Array, Geometry, int] | str:
    """A matrix product as the convolution whose window is the whole image."""
    b = layer.parameters["b"]
    if b.ndim != 2 or len(source.shape) != 1:
        return "it is a stack of matrix products"
    centred = _centred(b, np.asarray(layer.parameters["b_zero"], np.int64))
    if image.shape != b.shape[1:]:
        return WRONG_SHAPE
    kernel = source.height, source.width
    weights = centred.T.reshape(-1, source.channels, *kernel)
    return weights, Geometry(kernel, (1, 1), (1, 1), Padding()), 1


def _window(layer: Layer, source: Image, image: Image) -> tuple[Array, Geometry, int] | str:
    """A convolution's weights, less their zero points, its window, its groups."""
    p = layer.parameters
    if p["w"].ndim not in (3, 4) or not source.canonical:
        return "it has more than two spatial axes"
    zeros = np.broadcast_to(np.asarray(p["w_zero"], np.int64), len(p["w"]))
    weights = _centred(p["w"], zeros.reshape(-1, *[1] * (p["w"].ndim - 1)))
    strides, dilations, pads = tuple(p["strides"]), tuple(p["dilations"]), tuple(p["pads"])
    if weights.ndim == 3:
        weights, strides, dilations = weights[:, :, None], (1, *strides), (1, *dilations)
        pads = (0, pads[0], 0, pads[1])
    if image.channels != len(weights) or not fits(source, image, weights.shape[2:], strides, dilations, pads):
        return WRONG_SHAPE
    geometry = window(source, image, weights.shape[2:], strides, dilations, pads)
    return weights, geometry, int(p["groups"])


def _centred(weights: Array, zeros: Array) -> Array:
    """weights - zeros, int64; the weights themselves where all zeros are 0."""
    return weights.astype(np.int64) - zeros if zeros.any() else weights


def is_depthwise(weights: Array, groups: int) -> bool:
    """Whether each channel has one kernel of its own."""
    return groups > 1 and len(weights) == groups and weights.shape[1] == 1
