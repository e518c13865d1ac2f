"""Sums and products of two activations of equal shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from intsim.kernels.fma import fma
from intsim.kernels.packed import add, add_float32, mul, mul_float32, pairs
from intsim.kernels.packed.epilogues import NUMBERS as EPILOGUES
from intsim.kernels.packed.epilogues import WORDS
from intsim.kernels.packed.ir import NUMBERS as ISAS
from intsim.kernels.packed.ir import VECTORS as LANES
from intsim.kernels.packed.requantizers import Requantized, format_limits
from intsim.kernels.packed.requantizers import requantize as shifted
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, IN, IN2, LOW, OFFSET, OUT
from intsim.kernels.rounding import shift_terms
from intsim.plan.packed.fuse import Group, float_ends
from intsim.plan.packed.image import BYTE, WORD, Image
from intsim.plan.packed.op import LINE, PackedOp, Place, Row, aligned, float_bits

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
    """An op on two packed images of equal geometry, or on one and a pixel for all of it."""

    clips = True

    def __init__(self, group: Group, image: Image, pair: Pair, isa: str) -> None:
        self.layers = group.layers
        self.inputs, self.output, self.image = group.layers[0].inputs, group.output, image
        self._pair, self._form = pair, isa if image.size == BYTE else "avx2_i16"
        self.kernel = f"{group.layers[0].op}_{image.kind}_{image.kind}__{pair.kind}_{LANES[ISAS[self._form]].name}"
        self.reason = "codes of both operands side by side"

    def row(self, places: Mapping[str, Place], images: int) -> Row:
        first, second, place = (places[name] for name in (*self.inputs, self.output))
        image = self.image
        channels = image.pixel // image.size
        run, lines, vectors = image.width * channels, image.height, VECTORS
        pixel = (second.image.height, second.image.width) != (image.height, image.width)
        if not (pixel or any(p.padding.any for p in (first, second, place))):
            run, lines = run * lines, 1
        columns = {
            **self._pair.columns,
            pairs.LINE: first.line,
            pairs.LINE2: second.line,
            pairs.OUT_LINE: place.line,
            pairs.RUNS: 1,
            pairs.RUN: run,
        }
        if pixel:
            vectors = VECTORS if channels % (VECTORS * LANES[ISAS[self._form]].lanes) == 0 else 1
            columns |= {
                pairs.LINE2: 0,
                pairs.RUNS: image.width,
                pairs.RUN: channels,
                pairs.STEP: image.pixel,
                pairs.STEP2: 0,
                pairs.OUT_STEP: image.pixel,
            }
        keep = []
        if self.counting:
            size = columns[pairs.RUNS] * columns[pairs.RUN]
            mask = aligned(size + LINE)
            mask[:size] = np.tile(np.arange(channels) < image.channels, size // channels) * np.uint8(255)
            columns[pairs.MASK] = mask.ctypes.data
            keep.append(mask)
        function = self._pair.make(ISAS[self._form], int(self.counting), vectors)
        return Row(function, lines, columns, {IN: first, IN2: second, OUT: place, **self.counts()}, keep)


def accept_pair(group: Group, sources: tuple[Image, Image], image: Image, isa: str) -> PackedPair | str:
    """The packed op of a layer on two activations; in words why there is none."""
    a, b = sources
    whole = image.channels, image.height, image.width
    if (a.channels, a.height, a.width) != whole or (b.channels, b.height, b.width) not in (whole, (whole[0], 1, 1)):
        return "one operand is broadcast over the other"
    if a.few or b.few:
        return "its input has few channels"
    found = _PAIRS[group.layers[0].op](group, a, b, image)
    return found if isinstance(found, str) else PackedPair(group, image, found, isa)


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
