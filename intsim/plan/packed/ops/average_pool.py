"""Average pools and means of whole images: the constants of each window's mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intsim.kernels.packed.epilogues import NUMBERS as EPILOGUES
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.ops import average_pool as kernel
from intsim.kernels.packed.requantizers import format_limits, requantize_float32
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, LOW, OFFSET, OUT
from intsim.kernels.packed.windows import taps_inside
from intsim.kernels.windows import Windows
from intsim.plan.packed.fuse import Group, float_ends
from intsim.plan.packed.image import BYTE, Image, padded
from intsim.plan.packed.op import LINE, PackedOp, Place, TableRow, aligned
from intsim.plan.packed.window import WRONG_SHAPE, fits, flat

Array = np.ndarray[Any, Any]

IMAGE_AXES = (2, 3)
"""The axes of a mean of whole images."""


@dataclass(frozen=True)
class MeanConstants:
    """Which mean it is, the constants of each class of windows, and the class of each window."""

    mean: int
    words: Sequence[Sequence[int]]
    classes: Array
    ends: Mapping[int, int]


class PackedAveragePool(PackedOp):
    """The mean of each window's codes that lie in the image."""

    clips = True

    def __init__(self, group: Group, image: Image, windows: Windows, constants: MeanConstants, isa: str) -> None:
        self.layers = group.layers
        self.inputs, self.output, self.image = group.layers[0].inputs, group.output, image
        self._windows, self._constants = windows, constants
        self._number = ISAS[isa if image.size == BYTE else "avx2_i16"]
        self.kernel = f"{group.layers[0].op}_{image.kind}_{image.kind}_{VECTORS[self._number].name}"
        self.reason = "sums of codes"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        source, place, w, c = places[self.inputs[0]], places[self.output], self._windows, self._constants
        lanes = VECTORS[self._number].lanes
        vectors = 4 if padded(self.image.channels) >= 4 * lanes else 1
        blocks = -(-self.image.channels // (vectors * lanes))
        keep = []
        for d, size in enumerate((source.line, source.image.pixel)):
            first, taps = taps_inside(w.image[d], w.output[d], w.kernel[d], w.strides[d], w.dilations[d], w.begins[d])
            keep.append((np.arange(w.output[d]) * w.strides[d] - w.begins[d] + first * w.dilations[d]) * size)
            keep.append(np.ascontiguousarray(taps, np.int64))
        words = np.array(c.words, np.int64)
        varied = len(words) > 1
        classes = np.ascontiguousarray(c.classes * words.strides[0], np.int64)
        mask = aligned(blocks * vectors * lanes + LINE)
        mask[: self.image.channels] = 255
        keep += [words, classes, mask]
        columns = {
            **c.ends,
            kernel.ROW_FIRST: keep[0].ctypes.data,
            kernel.ROW_TAPS: keep[1].ctypes.data,
            kernel.COLUMN_FIRST: keep[2].ctypes.data,
            kernel.COLUMN_TAPS: keep[3].ctypes.data,
            kernel.TAP_LINE: w.dilations[0] * source.line,
            kernel.TAP_PIXEL: w.dilations[1] * source.image.pixel,
            kernel.OUT_LINE: place.line,
            kernel.OUT_PIXEL: self.image.pixel,
            kernel.WIDTH: self.image.width,
            kernel.CHANNELS: -(-self.image.channels // 4) * 4,
            kernel.BLOCKS: blocks,
            kernel.WORDS: words.ctypes.data,
            kernel.CLASSES: classes.ctypes.data if varied else 0,
            kernel.MASK: mask.ctypes.data,
        }
        function = kernel.make(c.mean, vectors, self._number, int(self.counting))
        return TableRow(function, self.image.height * blocks, columns, {IN: source, OUT: place, **self.counts()}, keep)


def accept_average_pool(group: Group, source: Image, image: Image, isa: str) -> PackedAveragePool | str:
    """The packed op of an average pool or a mean over the image; in words why there is none."""
    layer = group.layers[0]
    p = layer.parameters
    if source.few:
        return "its input has few channels"
    if not source.canonical:
        return "its input is another shape of an image"
    if layer.op.startswith("reduce_mean"):
        axes = tuple(sorted(int(a) for a in p["axes"]))
        if axes not in (IMAGE_AXES, (2,)) or len(source.shape) != len(axes) + 1:
            return f"it is a mean over the axes {axes}"
        size = source.height, source.width
        windows = Windows(size, size, (1, 1), (1, 1), (0, 0), (0, 0), (1, 1))
        if image.elements != source.channels:
            return WRONG_SHAPE
        image = replace(image, channels=source.channels, height=1, width=1)
    else:
        if not 1 <= len(p["kernel"]) <= 2:
            return "it has more than two spatial axes"
        kernel_, strides, dilations = (_pair(p[key], 1) for key in ("kernel", "strides", "dilations"))
        half = len(p["pads"]) // 2
        begins, ends = _pair(p["pads"][:half], 0), _pair(p["pads"][half:], 0)
        if not fits(source, image, kernel_, strides, dilations, (*begins, *ends), bool(p.get("ceil_mode", False))):
            return WRONG_SHAPE
        windows = Windows(
            (source.height, source.width), kernel_, strides, dilations, begins, ends, (image.height, image.width)
        )
    if image.channels != source.channels:
        return WRONG_SHAPE
    if source.size != BYTE and layer.op.endswith("float32"):
        return f"{layer.op} has no packed form of 16-bit codes"
    constants = _CONSTANTS[layer.op](group, source, image, windows)
    return constants if isinstance(constants, str) else PackedAveragePool(group, image, windows, constants, isa)


def _integers(group: Group, source: Image, image: Image, windows: Windows) -> MeanConstants | str:
    p = group.head.parameters
    pairs, classes = _classes(windows, bool(p.get("count_include_pad", False)), whole_kernel=False)
    zero = int(p.get("x_zero", 0)) + source.offset
    words = []
    for inside, count in pairs:
        found = kernel.quotient(inside, count, int(p["shift"]), p["rounding"], zero, source.ends)
        if found is None:
            return "its sums and their quotient need more than 32 bits"
        words.append(found)
    z = int(p.get("zero_point", 0))
    low, high = group.limits()
    clip = format_limits(p)
    ends = {LOW: low - z, HIGH: high - z, CLIP_LOW: clip[0] - z, CLIP_HIGH: clip[1] - z, OFFSET: z + image.offset}
    return MeanConstants(kernel.QUOTIENT, words, classes, ends)


def _float32(group: Group, source: Image, image: Image, windows: Windows) -> MeanConstants | str:
    p = group.head.parameters
    pairs, classes = _classes(windows, bool(p.get("count_include_pad", False)), whole_kernel=True)
    x_scale, scale = np.float32(p["x_scale"]), np.float32(p["scale"])
    if not kernel.fits_float32(max(inside for inside, _ in pairs), float(x_scale), float(scale)):
        return "its sums leave the range of float32's rounding"
    zero, z = int(p.get("x_zero", 0)) + source.offset, int(p.get("zero_point", 0))
    words = [kernel.float32_words(zero, x_scale, count, scale, z) for _, count in pairs]
    return MeanConstants(kernel.FLOAT32, words, classes, {**float_ends(group), OFFSET: image.offset})


def _global_float32(group: Group, source: Image, image: Image, windows: Windows) -> MeanConstants | str:
    p = group.head.parameters
    count = source.height * source.width
    if not kernel.fits_sum(count):
        return "its sums need more than 32 bits"
    multiplier = np.float32(p["x_scale"]) / (np.float32(p["scale"]) * np.float32(count))
    own = {"multiplier": multiplier, "zero_point": p.get("zero_point", 0)}
    found = requantize_float32(own, *group.limits(), (0, 0))
    clip = requantize_float32(own, *format_limits(p), (0, 0))
    if isinstance(found, str) or isinstance(clip, str):
        return "its zero points differ by channel"
    start = -count * (int(p.get("x_zero", 0)) + source.offset)
    ends = {LOW: found.low, HIGH: found.high, CLIP_LOW: clip.low, CLIP_HIGH: clip.high}
    return MeanConstants(
        kernel.THROUGH + EPILOGUES["float32"],
        [[start, int(found.vectors[0][0])]],
        np.zeros((1, 1), np.int64),
        {**ends, OFFSET: found.offset + image.offset},
    )


def _classes(windows: Windows, include_pad: bool, *, whole_kernel: bool) -> tuple[list[tuple[int, int]], Array]:
    """The distinct pairs (elements inside, count) of the windows, and the number of each window's.

    whole_kernel: with include_pad the count is the kernel's size, always (ONNX Runtime's float32 form).
    """
    inside = np.multiply.outer(*windows.counts(False))
    counts = np.multiply.outer(*windows.counts(include_pad))
    if include_pad and whole_kernel:
        counts = np.full_like(inside, windows.kernel[0] * windows.kernel[1])
    both = np.stack([inside, counts], -1).reshape(-1, 2)
    distinct, index = np.unique(both, axis=0, return_inverse=True)
    return [(int(a), int(b)) for a, b in distinct], index.reshape(inside.shape)


def _pair(values: Sequence[int], neutral: int) -> tuple[int, int]:
    first, second = flat(tuple(int(v) for v in values), neutral)
    return first, second


_CONSTANTS = {
    "average_pool": _integers,
    "reduce_mean": _integers,
    "average_pool_float32": _float32,
    "reduce_mean_float32": _global_float32,
}

OPS = frozenset(_CONSTANTS)
