"""Sums and products of two activations, or of one and a constant; lines or pixels of an operand may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.kernels.fma import fma
from intsim.kernels.packed.epilogues import NUMBERS as EPILOGUES
from intsim.kernels.packed.epilogues import WORDS
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import VECTORS as LANES
from intsim.kernels.packed.ops import add, add_float32, mul, mul_float32, pairs
from intsim.kernels.packed.requantizers import Requantized, format_limits
from intsim.kernels.packed.requantizers import requantize as shifted
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, IN2, LOW, OFFSET, OUT
from intsim.kernels.rounding import shift_terms
from intsim.plan.packed.fuse import Group, float_ends
from intsim.plan.packed.image import BYTE, WORD, Image, Padding, image_of
from intsim.plan.packed.op import LINE, External, PackedOp, Place, TableRow, aligned, aligned_copy, float_bits

Array = np.ndarray[Any, Any]

VECTORS = 4
"""Vectors of bytes at a time."""


@dataclass(frozen=True)
class Pair:
    """How an op combines stored bytes: make(isa, count, vectors) is its cfunc; its columns but for the walk's."""

    make: Callable[[int, int, int], Any]
    columns: Mapping[int, int]
    kind: str


class PackedPair(PackedOp):
    """An op on two packed images, or on one and a constant; one line, or one pixel a line, of either is repeated.

    constants: operand, 0 or 1 -> its image and what is stored of it, [height, width, padded channels].
    """

    clips = True

    def __init__(
        self, group: Group, image: Image, pair: Pair, isa: str, constants: Mapping[int, tuple[Image, Array]]
    ) -> None:
        self.layers = group.layers
        self.inputs = tuple(name for i, name in enumerate(group.layers[0].inputs) if i not in constants)
        self.output, self.image = group.output, image
        self._constants = {i: (own, aligned_copy(stored)) for i, (own, stored) in constants.items()}
        self._pair, self._form = pair, isa if image.size == BYTE else "avx2_i16"
        self.kernel = f"{group.layers[0].op}_{image.kind}_{image.kind}__{pair.kind}_{LANES[ISAS[self._form]].name}"
        self.reason = "codes of both operands side by side"

    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        image, place, vectors = self.image, places[self.output], VECTORS
        names = iter(self.inputs)
        operands = [
            Place(self._constants[i][0], Padding(), 0, 0) if i in self._constants else places[next(names)]
            for i in range(2)
        ]
        channels = image.pixel // image.size
        run, lines = image.width * channels, image.height
        pixels = any(o.image.width != image.width for o in operands)
        repeated = pixels or any(o.image.height != image.height for o in operands)
        if not (repeated or any(p.padding.any for p in (*operands, place))):
            run, lines = run * lines, 1
        columns = {
            **self._pair.columns,
            pairs.OUT_LINE: place.line,
            pairs.RUNS: 1,
            pairs.RUN: run,
        }
        for column, operand in zip((pairs.LINE, pairs.LINE2), operands, strict=True):
            columns[column] = operand.line if operand.image.height == image.height else 0
        if pixels:
            vectors = VECTORS if channels % (VECTORS * LANES[ISAS[self._form]].lanes) == 0 else 1
            columns |= {pairs.RUNS: image.width, pairs.RUN: channels, pairs.OUT_STEP: image.pixel}
            for column, operand in zip((pairs.STEP, pairs.STEP2), operands, strict=True):
                columns[column] = image.pixel if operand.image.width == image.width else 0
        keep = []
        if self.counting:
            size = columns[pairs.RUNS] * columns[pairs.RUN]
            mask = aligned(size + LINE)
            mask[:size] = np.tile(np.arange(channels) < image.channels, size // channels) * np.uint8(255)
            columns[pairs.MASK] = mask.ctypes.data
            keep.append(mask)
        addressed: dict[int, Place | External] = {OUT: place, **self.counts()}
        for i, (column, operand) in enumerate(zip((IN, IN2), operands, strict=True)):
            if i in self._constants:
                columns[column] = self._constants[i][1].ctypes.data
            else:
                addressed[column] = operand
        function = self._pair.make(ISAS[self._form], int(self.counting), vectors)
        return TableRow(function, lines, columns, addressed, keep)


def accept_pair(
    group: Group, sources: Sequence[Image | tuple[Array, Format]], image: Image, isa: str
) -> PackedPair | str:
    """The packed op of a layer on two operands, images of activations or codes with their format; else why not."""
    constants = {}
    images = []
    for i, source in enumerate(sources):
        if isinstance(source, Image):
            images.append(source)
            continue
        found = constant_image(*source, image)
        if isinstance(found, str):
            return found
        constants[i] = found
        images.append(found[0])
    a, b = images
    if len({operand.size for operand in (*images, image)}) > 1:
        return "its operands and its result have codes of 8 and of 16 bits"
    if not all(_repeats(operand, image) for operand in images):
        return "one operand is broadcast over the other"
    if a.few or b.few:
        return "its input has few channels"
    pair = _PAIRS[group.layers[0].op](group, a, b, image)
    return pair if isinstance(pair, str) else PackedPair(group, image, pair, isa, constants)


def _repeats(operand: Image, image: Image) -> bool:
    """Whether an operand has the lines and columns of the result, or one that is repeated."""
    if operand.geometry == image.geometry:
        return True
    return (
        (operand.canonical or operand.is_matrix)
        and len(operand.shape) == len(image.shape)
        and (operand.channels, operand.rows) == (image.channels, image.rows)
        and operand.height in (1, image.height)
        and operand.width in (1, image.width)
    )


def constant_image(codes: Array, format: Format, image: Image) -> tuple[Image, Array] | str:
    """The Image of a constant operand of a result with that image, and what is stored of it, padded channels last."""
    rank = len(image.shape)
    if codes.ndim > rank + 1 or codes.shape[: max(codes.ndim - rank, 0)] not in ((), (1,)):
        return "its constant differs by image"
    own = codes.reshape((1,) * (rank + 1 - codes.ndim) + codes.shape)[0]
    if not (image.canonical or image.is_matrix):
        return "its output is another shape of an image"
    channel = rank - 1 if image.rows else 0
    shape = tuple(image.shape[axis] if axis == channel else own.shape[axis] for axis in range(rank))
    found = image_of((1, *shape), format, rows=image.rows)
    if isinstance(found, str):
        return f"its constant: {found}"
    stored: Array = np.zeros((found.height, found.width, found.pixel // found.size), found.dtype)
    last = np.moveaxis(np.broadcast_to(own, shape), channel, -1)
    stored[..., : found.channels] = last.reshape(found.height, found.width, -1).astype(np.int64) + found.offset
    return found, stored


def _integers(group: Group, a: Image, b: Image, image: Image) -> Pair | str:
    p, op = group.head.parameters, group.layers[0].op
    left = max(-int(p["shift"]), 0)  # a shift to the left joins those of the operands
    if left and op == "mul":
        return f"it shifts left by {left}"
    p = {**p, "shift": max(int(p["shift"]), 0)}
    low, high = group.limits()
    requantized = shifted(p, low, high, (0, 0))
    whole = shifted(p, *format_limits(p), (0, 0))
    if isinstance(requantized, str) or isinstance(whole, str):
        return requantized if isinstance(requantized, str) else "its output format"
    if requantized.epilogue not in ("shift", "ties"):
        return f"it shifts by {int(p['shift'])}"
    always, negative, odd = shift_terms(p["rounding"], int(p["shift"]))
    zeros = int(p.get("a_zero", 0)) + a.offset, int(p.get("b_zero", 0)) + b.offset
    columns = _ends(requantized, whole, image)
    for number, vector in enumerate(requantized.vectors):
        columns[pairs.SCALARS + number] = int(vector[0])
    epilogue = EPILOGUES[requantized.epilogue + WORDS * (image.size == WORD)]
    if op == "mul":
        if not mul.fits(always, negative, odd):
            return "its products and their rounding need more than 32 bits"
        columns |= {pairs.ZERO_A: zeros[0], pairs.ZERO_B: zeros[1], pairs.START: always}
        return Pair(partial(mul.make, epilogue), columns, requantized.epilogue)
    shifts, subtract = (int(p["a_shift"]) + left, int(p["b_shift"]) + left), op == "sub"
    if not add.fits(shifts, zeros, subtract, always, negative, odd, image.ends):
        return "its sums and their rounding need more than 32 bits"
    columns |= {
        pairs.FACTOR_A: shifts[0],
        pairs.FACTOR_B: shifts[1],
        pairs.START: add.start(shifts, zeros, subtract, always),
    }
    return Pair(
        partial(add.make, int(subtract), epilogue),
        columns,
        requantized.epilogue,
    )


def _add_float32(group: Group, a: Image, b: Image, image: Image) -> Pair | str:
    p = group.head.parameters
    ratios = [np.float32(p[key]) for key in ("a_ratio", "b_ratio")]
    zeros = [np.float32(p[key]) for key in ("a_zero", "b_zero", "zero_point")]
    start = np.float32(zeros[2] - np.float32(fma(ratios[0], zeros[0], np.float32(ratios[1] * zeros[1]))))
    if not add_float32.fits(float(ratios[0]), float(ratios[1]), float(start)):
        return "its sums leave the range of float32's rounding"
    columns = {
        **float_ends(group),
        OFFSET: image.offset,
        pairs.ZERO_A: a.offset,
        pairs.ZERO_B: b.offset,
        pairs.FACTOR_A: float_bits(ratios[0]),
        pairs.FACTOR_B: float_bits(ratios[1]),
        pairs.START: float_bits(start),
    }
    return Pair(add_float32.make, columns, "float32")


def _mul_float32(group: Group, a: Image, b: Image, image: Image) -> Pair | str:
    p = group.head.parameters
    ratio, zero_point = np.float32(p["ratio"]), int(p.get("zero_point", 0))
    if not mul_float32.fits(float(ratio), zero_point):
        return "its products leave the range of float32's rounding"
    columns = {
        **float_ends(group),
        OFFSET: image.offset,
        pairs.ZERO_A: int(p.get("a_zero", 0)) + a.offset,
        pairs.ZERO_B: int(p.get("b_zero", 0)) + b.offset,
        pairs.FACTOR_A: float_bits(ratio),
        pairs.START: float_bits(zero_point),
    }
    return Pair(mul_float32.make, columns, "float32")


def _ends(requantized: Requantized, whole: Requantized, image: Image) -> dict[int, int]:
    return {
        LOW: requantized.low,
        HIGH: requantized.high,
        OFFSET: requantized.offset + image.offset,
        CLIP_LOW: whole.low,
        CLIP_HIGH: whole.high,
    }


_PAIRS: Mapping[str, Callable[[Group, Image, Image, Image], Pair | str]] = {
    "add": _integers,
    "sub": _integers,
    "mul": _integers,
    "add_float32": _add_float32,
    "mul_float32": _mul_float32,
}

OPS = frozenset(_PAIRS)
