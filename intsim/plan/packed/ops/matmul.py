"""Matrix products of two activations, one or a stack of them, with their requantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.ops import matmul as kernel
from intsim.kernels.packed.requantizers import Requantized
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, IN2, LOW, OFFSET, OUT
from intsim.plan.packed.fuse import Group
from intsim.plan.packed.image import BYTE, WIDTH, Image, padded
from intsim.plan.packed.op import PackedOp, Place, TableRow, aligned_copy
from intsim.plan.packed.ops.conv import tile_pixels
from intsim.plan.packed.window import WRONG_SHAPE
from intsim.ranges.bounds import Bounds
from intsim.summation import PLAIN

Array = np.ndarray[Any, Any]

PACKED = "#packed"
"""After the output's name: the second operand as weights, and the start values."""


class PackedMatmul(PackedOp):
    """out[s, m, n] = epilogue(sum over k of (a[s, m, k] - a_zero) * (b[s, k, n] - b_zero)): b packed, then tiles."""

    clips = True

    def __init__(
        self,
        group: Group,
        sources: tuple[Image, Image],
        image: Image,
        zeros: tuple[int, int],
        start: Array,
        requantized: Requantized,
    ) -> None:
        """zeros: the stored bytes of the zero points; start: int64[N], the accumulators' values less their terms."""
        self.layers, self.inputs, self.output, self.image = group.layers, group.layers[0].inputs, group.output, image
        self.sources, self.zeros, self.start, self.requantized = sources, zeros, start, requantized
        self.clip = group.clip
        isa = VECTORS[kernel.ISA].isa
        self.pixels = tile_pixels(isa, kernel.WIDTH, image.width)
        self.products = image.height * image.width * image.channels * sources[0].channels
        self.kernel = f"matmul_u8_{image.kind}__{requantized.epilogue}_{isa}"
        self.reason = f"{self.pixels}x{kernel.BLOCK} tiles, its second operand packed as it runs"
        self.blocks, self.steps = padded(image.channels) // kernel.BLOCK, -(-sources[0].channels // kernel.STEP)

    def parts(self) -> Sequence[PackedOp]:
        return _Pack(self), _Product(self)

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        raise AssertionError("its parts have rows")

    @property
    def weight_bytes(self) -> int:
        """Bytes of the packed weights."""
        return self.sources[1].height * self.blocks * self.steps * kernel.STEP_BYTES

    def template(self) -> Array:
        """The parameters of a matrix less what depends on b, i32[blocks, 1 + vectors, BLOCK]."""
        vectors = [self.start + self.requantized.start, *self.requantized.vectors]
        columns = self.image.channels
        filled = np.zeros((len(vectors), self.blocks * kernel.BLOCK), np.int32)
        for number, values in enumerate(vectors):
            filled[number, :columns] = np.broadcast_to(values, columns).astype(np.int64).astype(np.int32)
        return aligned_copy(filled.reshape(len(vectors), self.blocks, kernel.BLOCK).transpose(1, 0, 2))


class _Pack(PackedOp):
    """The second operand as weights, and the start values of its columns."""

    def __init__(self, whole: PackedMatmul) -> None:
        self._whole = whole
        self.layers, self.inputs, self.output = whole.layers, whole.inputs[1:], whole.output + PACKED
        parameters = whole.sources[1].height * whole.blocks * (1 + len(whole.requantized.vectors)) * 4 * kernel.BLOCK
        size = whole.weight_bytes + parameters
        self.image = Image((size,), WIDTH, 1, size // WIDTH)
        self.kernel, self.reason = f"{whole.kernel}_pack", whole.reason

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        whole, b, place = self._whole, places[self.inputs[0]], places[self.output]
        mask = np.arange(whole.blocks * kernel.BLOCK) < whole.image.channels
        keep = [aligned_copy(-mask.astype(np.int16)), whole.template()]
        columns = {
            kernel.BLOCKS: whole.blocks,
            kernel.STEPS: whole.steps,
            kernel.STACK: b.line,
            kernel.ROW: b.image.pixel,
            kernel.K: whole.sources[0].channels,
            kernel.A_ZERO: whole.zeros[0],
            kernel.B_ZERO: whole.zeros[1],
            kernel.MASK: keep[0].ctypes.data,
            kernel.TEMPLATE: keep[1].ctypes.data,
            kernel.PARAMETERS: whole.weight_bytes,
        }
        function = kernel.make_pack(len(whole.requantized.vectors))
        return TableRow(function, b.image.height * whole.blocks, columns, {IN: b, OUT: place}, keep)


class _Product(PackedOp):
    """The tiles of the output."""

    def __init__(self, whole: PackedMatmul) -> None:
        self._whole = whole
        self.layers, self.output, self.image = whole.layers, whole.output, whole.image
        self.inputs = whole.inputs[0], whole.output + PACKED
        self.kernel, self.reason, self.products = whole.kernel, whole.reason, whole.products
        self.counting, self.clipped = whole.counting, whole.clipped

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        whole, image, r = self._whole, self.image, self._whole.requantized
        a, packed, place = places[self.inputs[0]], places[self.inputs[1]], places[self.output]
        lines = np.arange(image.width, dtype=np.int64)
        keep = [lines * a.image.pixel, np.zeros(1, np.int64), lines * image.pixel]
        tiles = -(-image.width // whole.pixels)
        columns = {
            LOW: r.low,
            HIGH: r.high,
            OFFSET: r.offset + image.offset,
            CLIP_LOW: whole.clip[0],
            CLIP_HIGH: whole.clip[1],
            kernel.BLOCKS: whole.blocks,
            kernel.STEPS: whole.steps,
            kernel.STACK: a.line if a.image.height > 1 else 0,
            kernel.ROW_OFFSETS: keep[0].ctypes.data,
            kernel.TAP_OFFSETS: keep[1].ctypes.data,
            kernel.OUT_OFFSETS: keep[2].ctypes.data,
            kernel.ROWS: image.width,
            kernel.TILES: tiles,
            kernel.OUT_STACK: place.line,
            kernel.WEIGHT_STACK: int(whole.sources[1].height > 1),
            kernel.PARAMETERS2: whole.weight_bytes,
        }
        function = kernel.make(whole.pixels, r.number(image.offset, image.size), int(self.counting))
        operands = {IN: a, IN2: packed, OUT: place, **self.counts()}
        return TableRow(function, image.height * whole.blocks * tiles, columns, operands, keep)


def accept_matmul(group: Group, sources: tuple[Image, Image], image: Image, bounds: Bounds) -> PackedMatmul | str:
    """The packed op of a matrix product of two activations and what is fused after it; in words why there is none."""
    p, (a, b) = group.layers[0].parameters, sources
    if not bounds.cannot_overflow or (p.get("summation") or PLAIN).spill_shift:
        return "its sums may leave the accumulator, or are rounded between passes"
    if any(source.size != BYTE for source in sources):
        return "both operands are activations, with codes of 16 bits"
    if bounds.needed_bits > 32:
        return f"its sums need {bounds.needed_bits} bits, packed kernels of 8-bit codes have 32"
    if len(a.shape) != len(b.shape) or len(a.shape) == 1:
        return "its operands differ in their axes" if len(a.shape) != len(b.shape) else "it multiplies whole batches"
    if not (a.is_matrix and b.is_matrix and image.is_matrix):
        return "an operand lies as an image, channels last"
    if {a.height, b.height} - {1, image.height} or image.height != max(a.height, b.height):
        return WRONG_SHAPE
    if (a.channels, a.width, b.channels) != (b.width, image.width, image.channels):
        return WRONG_SHAPE
    requantized = group.requantized((min(bounds.low), max(bounds.high)))
    if isinstance(requantized, str):
        return requantized
    if requantized.long:
        return "both operands are activations, and its requantizer takes 64 bits"
    start: Array = np.zeros(image.channels, np.int64)
    for extra in (p["bias"], p.get("constant", 0)):
        start = start + np.broadcast_to(np.asarray(0 if extra is None else extra, np.int64), image.channels)
    zeros = int(p["a_zero"]) + a.offset, int(np.max(p["b_zero"])) + b.offset
    return PackedMatmul(group, sources, image, zeros, start, requantized)
