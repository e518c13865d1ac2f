"""Convolutions and matrix products with constant weights: tiles, packed weights and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import STEP, VECTORS, divided, room_for_pairs
from intsim.kernels.packed.ops import conv as kernel
from intsim.kernels.packed.requantizers import Requantized
from intsim.kernels.packed.requantizers_int64 import words
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, LOW, OFFSET, OUT
from intsim.lowering.lowered import Layer
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import BYTE, WORD, Image, Padding, padded
from intsim.plan.packed.op import PackedOp, Place, TableRow, aligned, aligned_copy
from intsim.plan.packed.ops.depthwise import IN_PAIRS, LONGEST_KERNEL, PackedDepthwise
from intsim.plan.packed.window import WRONG_SHAPE, Geometry, fits, window
from intsim.ranges.bounds import Bounds
from intsim.summation import PLAIN

Array = np.ndarray[Any, Any]

TILES: Mapping[str, Mapping[int, tuple[int, ...]]] = {
    "avx512vnni": {4: (4, 5, 3), 2: (4, 10, 5, 3), 3: (4, 7, 5, 3), 1: (12, 8, 5, 3)},
    "avxvnni": {2: (6, 5, 4, 3)},
    "avx2": {2: (6, 5, 4, 3)},
    "avx2_pairs": {2: (5, 4, 3)},
    "avx2_i16": {2: (6, 5, 4, 3)},
    "avx2_i16_parts": {1: (5, 4, 3)},
}
"""Form of instructions (ir.VECTORS) -> vectors of channels -> pixels of a tile; both the fastest first.

What is no product of u8 and i8 takes 16-bit products of 256 bits, on every instruction set.

Small tiles are the fastest, so long as their sums hide the latency of a product: the epilogue of one then runs beside
the products of the next, which is why more of the registers are not used. (Channels come in multiples of 16.)
"""

TILE_COST = {"avx512vnni": 0, "avxvnni": 1, "avx2": 1, "avx2_pairs": 1, "avx2_i16": 1, "avx2_i16_parts": 1}
"""What a tile costs beside its pixels, in pixels."""

AT_ONCE = 1 << 18
"""Weights that are put in order at a time; a few arrays of that size are made of them."""

WASTE = 8
"""A grouped convolution is merged into larger groups, with zeros, up to that many times its products."""


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
        form: str,
    ) -> None:
        """weights: [outputs, channels / groups, height, width], valued as `form` takes them, a name of ir.VECTORS;
        start: int64[outputs], the accumulator's value for an input of zeros as stored; clip: what the output format
        clips to, in the bits of rows.CLIP_LOW.
        """
        self.layers = layers
        self.inputs = (layers[0].inputs[0],)
        self.output = layers[-1].outputs[0]
        self.source, self.image = source, image
        self._weights, self._start, self._requantized, self._clip = weights, start, requantized, clip
        self._geometry, self._groups = geometry, groups
        self._form, self._number, self._v = form, ISAS[form], VECTORS[ISAS[form]]
        self._long = requantized.long
        self.vectors = self._vectors()
        self.pixels = tile_pixels(form, self.vectors, image.height * image.width)
        self.products = weights.size * image.height * image.width
        read = source.height * source.width * source.pixel
        self.whole = weights.size > read * (padded(len(weights)) // (self.vectors * self._v.lanes))
        self.kernel = f"{layers[0].op}_{source.kind}_{image.kind}__{requantized.epilogue}_{self._v.name}"
        self.reason = f"{self.pixels}x{self.vectors * self._v.lanes} tiles"
        self.reason += IN_PAIRS * self._v.pairs
        if self._long:
            self.reason += ", sums in 64 bits" + ", of both halves of the weights" * (self._v.parts > 1)

    def _vectors(self) -> int:
        """Vectors of channels of the tile."""
        blocks = padded(len(self._weights) // self._groups * self.merge) // self._v.lanes
        return next(v for v in TILES[self._form] if blocks % v == 0)

    @cached_property
    def merge(self) -> int:
        """How many groups are merged into one, so that input and output channels come in whole words and vectors."""
        outputs, channels = self._weights.shape[:2]
        return merged(self._groups, outputs, channels, self.source.channels)

    @property
    def packing(self) -> tuple[object, ...]:
        return self.vectors, self.merge, self.tap_channels, self._form, self.source.offset

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
        outputs, parts = len(self._weights), self._groups // self.merge
        full, block = padded(outputs // parts), self._v.lanes * self.vectors
        channel = self._taps * self._steps * self._v.codes * self._v.parts
        memory = aligned(parts * full * channel * self._dtype.itemsize)
        blocks = memory.view(self._dtype).reshape(parts, full // block, block * channel)
        some = max(AT_ONCE // (block * channel), 1)
        for part in range(parts):
            for first in range(0, full // block, some):
                last = min(first + some, full // block)
                blocks[part, first:last] = self._ordered(part, first * block, last * block)
        start = self._start + self._requantized.start
        starts = words(np.broadcast_to(start, outputs)) if self._long else (start,)
        vectors = [*starts, *self._requantized.vectors]
        parameters = np.zeros((len(vectors), parts, full), np.int32)
        for number, values in enumerate(vectors):
            spread = np.broadcast_to(values, outputs).reshape(parts, -1)
            parameters[number, :, : outputs // parts] = spread.astype(np.int64).astype(np.int32)  # modulo 2**32
        parameters = parameters.reshape(len(vectors), -1, block).transpose(1, 0, 2)
        return memory, aligned_copy(parameters)

    def _ordered(self, part: int, first: int, last: int) -> Array:
        """The weights of the output channels [first, last) of a part, whole blocks of them: [blocks, weights]."""
        v = self._v
        outputs, inputs, height, width = self._weights.shape
        per = outputs // self._groups
        rows = np.zeros((last - first, height, width, self.tap_channels), self._dtype)
        for inner in range(self.merge):
            low, high = max(first, inner * per), min(last, (inner + 1) * per)
            if low < high:
                at = part * self.merge * per
                own = self._weights[at + low : at + high].transpose(0, 2, 3, 1)
                rows[low - first : high - first, ..., inner * inputs : (inner + 1) * inputs] = own
        blocks = rows.reshape(-1, self.vectors, v.lanes, self._taps, self._steps, v.codes)
        ordered = blocks.transpose(0, 3, 4, 1, 2, 5)
        if v.size == 1 and not v.narrow:
            ordered = np.stack([ordered[..., 0::2], ordered[..., 1::2]], axis=4)
        if v.parts > 1:
            ordered = np.stack(divided(ordered), axis=3)
        return ordered.reshape(len(blocks), -1)

    @property
    def _dtype(self) -> np.dtype[Any]:
        """Of packed weights."""
        return np.dtype(np.int8 if self._v.narrow else np.int16)

    @property
    def _taps(self) -> int:
        """Contiguous runs of a window."""
        height, width = self._geometry.kernel
        return height if self.joined else height * width

    @property
    def tap_channels(self) -> int:
        """Channels of a tap's pixel."""
        pixel = self.source.pixel // self.source.size
        return pixel if self.dense else self.source.channels // self._groups * self.merge

    @property
    def _steps(self) -> int:
        """Steps of a tap."""
        return self.tap_channels * (self._geometry.kernel[1] if self.joined else 1) // self._v.codes

    @cached_property
    def _segments(self) -> int:
        """Into how many equal runs each tap is divided, so that 32 bits hold the sums of one.

        What is stored is an i16, whatever it is, so that 2**15 times the sum of a run's weights bounds it.
        """
        if not self._long:
            return 1
        taps, steps = self._taps, self._steps
        weights = self.packed[0].view(np.int16).reshape(-1, taps, steps, self._v.parts * self.vectors, self._v.lanes, 2)
        sums = np.abs(weights.astype(np.int32)).sum(axis=-1)
        for count in range(1, steps + 1):
            if steps % count == 0:
                runs = sums.reshape(len(sums), taps, count, steps // count, *sums.shape[3:]).sum(axis=3)
                if runs.max() < 1 << 16:
                    return count
        raise AssertionError("two products fit 32 bits")

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
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
        steps = self._steps // self._segments
        tap_offsets = (tap_offsets[:, None] + np.arange(self._segments) * steps * STEP).reshape(-1)
        pixels = tile_pixels(self._form, self.vectors, len(row_offsets))
        tiles = -(-len(row_offsets) // pixels)
        parts = self._groups // self.merge
        blocks = padded(len(self._weights) // parts) // (self._v.lanes * self.vectors)
        weights, parameters = self.packed
        keep = [weights, parameters, row_offsets, tap_offsets, out_offsets]
        addresses = [array.ctypes.data for array in keep]
        r = self._requantized
        return TableRow(
            kernel.make(pixels, self.vectors, r.number(image.offset, image.size), self._number, int(self.counting)),
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
                kernel.GROUP_BYTES: self.tap_channels * self.source.size if parts > 1 else 0,
            },
            {IN: source, OUT: place, **self.counts()},
            keep,
        )


def tile_pixels(form: str, vectors: int, count: int) -> int:
    """Pixels of a tile, for that many in all: those that waste least on the last one, which overlaps."""
    sizes = [p for p in TILES[form][vectors] if p <= count] or [count]
    return min(sizes, key=lambda p: -(-count // p) * (p + TILE_COST[form]))


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
    """The packed op of a conv or matmul layer and what is fused after it; in words why there is none."""
    layer = group.layers[0]
    p = layer.parameters
    if len(layer.inputs) != 1:
        return "both operands are activations"
    if not bounds.cannot_overflow or (p.get("summation") or PLAIN).spill_shift:
        return "its sums may leave the accumulator, or are rounded between passes"
    if bounds.needed_bits > 32 and source.size == BYTE:
        return f"its sums need {bounds.needed_bits} bits, packed kernels of 8-bit codes have 32"
    requantized = group.requantized((min(bounds.low), max(bounds.high)))
    if isinstance(requantized, str):
        return requantized
    found = _matrix(layer, source, image) if layer.op == "matmul" else _window(layer, source, image)
    if isinstance(found, str):
        return found
    weights, geometry, groups = found
    low, high = (int(weights.min()), int(weights.max())) if weights.size else (0, 0)
    if not -(1 << 15) <= low <= high < 1 << 15:
        return "its weights without their zero points have more than 16 bits"
    wide = not -128 <= low <= high <= 127
    form = _form(source, isa, wide, requantized.long, max(-low, high))
    x_zero = int(p["a_zero" if layer.op == "matmul" else "x_zero"]) + source.offset
    outputs = len(weights)
    start = -x_zero * weights.reshape(outputs, -1).sum(axis=1, dtype=np.int64)
    for extra in (p["bias"], p.get("constant", 0)):
        start = start + np.broadcast_to(np.asarray(0 if extra is None else extra, np.int64), outputs)
    if is_depthwise(weights, groups) and not source.few and (not requantized.long or weights[0].size <= LONGEST_KERNEL):
        return PackedDepthwise(group, source, image, weights[:, 0], start, requantized, geometry, form)
    if not source.few and merged(groups, outputs, weights.shape[1], source.channels) > WASTE:
        return f"its {groups} groups have too few channels"
    return PackedConv(group.layers, source, image, weights, start, requantized, group.clip, geometry, groups, form)


def _form(source: Image, isa: str, wide: bool, long: bool, largest: int) -> str:
    """The form of instructions (ir.VECTORS); wide: whether weights, of that size at most, have more than 8 bits."""
    if source.size == WORD:
        return "avx2_i16_parts" if long and wide else "avx2_i16"
    if wide:
        return "avx2"
    return "avx2_pairs" if isa == "avx2" and room_for_pairs(source.most, largest) else isa


def _matrix(layer: Layer, source: Image, image: Image) -> tuple[Array, Geometry, int] | str:
    """A product of each image and a matrix as the convolution whose window is the whole image; one of each row: 1x1."""
    b = layer.parameters["b"]
    if b.ndim != 2:
        return "it is a stack of matrix products"
    centred = _centred(b, np.asarray(layer.parameters["b_zero"], np.int64))
    if len(source.shape) > 1:
        if not (source.is_matrix and image.is_matrix):
            return "its operand lies as an image, channels last"
        if (*source.shape[:-1], *b.shape) != (*image.shape[:-1], source.channels, image.channels):
            return WRONG_SHAPE
        return centred.T[..., np.newaxis, np.newaxis], Geometry((1, 1), (1, 1), (1, 1), Padding()), 1
    if image.shape != b.shape[1:]:
        return WRONG_SHAPE
    kernel = source.height, source.width
    if source.rows:
        weights = centred.T.reshape(-1, *kernel, source.channels).transpose(0, 3, 1, 2)
    else:
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
