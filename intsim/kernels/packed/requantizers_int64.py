"""Requantizers of sums of more than 32 bits as epilogues: the counterpart of requantizers.py for those."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intsim.kernels.packed.requantizers import (
    INT32,
    NONE,
    Array,
    Requantized,
    SumBounds,
    lanes,
    reduced,
    within,
    zero_of,
)
from intsim.kernels.rounding import MAX_SHIFT, shift_terms

INT64 = (-(1 << 63), (1 << 63) - 1)
INT48 = (-(1 << 47), (1 << 47) - 1)


def requantize(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """requantize (spec/requantize.py) with shifts to the right, where no sum with its rounding terms leaves 64 bits."""
    shifts, zero, rounding = lanes(p["shift"]), zero_of(p, low, high), p["rounding"]
    if isinstance(zero, str):
        return zero
    if not within(shifts, 0, MAX_SHIFT):
        return f"{rounding} with shifts of {shifts.min()} to {shifts.max()} and sums of {bounds[0]} to {bounds[1]}"
    terms = [shift_terms(rounding, int(s)) for s in shifts]
    size = max(abs(b) for b in bounds) + max(sum(abs(t) for t in own) for own in terms)
    if size > INT64[1]:
        return f"sums of {bounds[0]} to {bounds[1]} and their rounding need more than 64 bits"
    always, negative, odd = np.array(terms, np.int64).T
    unclamped = low - zero, high - zero, zero
    if not negative.any() and not odd.any():
        return Requantized("shift_int64", always, (shifts,), *unclamped)
    vectors = shifts, *words(always), *words(negative), *words(odd)
    return Requantized("ties_int64", always, vectors, *unclamped)


def requantize_tflite_int64(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_up(acc * reduced(m) / 2**(15 - shift)), reduced(m) = min(half_up(m / 2**16), 2**15 - 1)."""
    multiplier, shifts, zero = lanes(p["multiplier"]), lanes(p["shift"]), zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    return _multiplied(reduced(multiplier), 15 - shifts, (low - zero, high - zero, zero), bounds, room=1)


def requantize_tosa(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """apply_scale_16: half_up((acc - input_zero_point) * m / 2**shift), m of 16 bits."""
    multiplier, shifts, zero = lanes(p["multiplier"]), lanes(p["shift"]), zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    if p.get("multiplier_bits", 32) != 16 or p.get("double_rounding", False):
        return "its multiplier or its shift has no packed form"
    before = int(p.get("input_zero_point", 0))
    bounds = bounds[0] - before, bounds[1] - before
    unclamped = low - zero, high - zero, zero
    return _multiplied(multiplier, shifts, unclamped, bounds, room=1 + abs(zero), start=-before)


REQUANTIZERS: Mapping[str, Callable[[Mapping[str, Any], int, int, SumBounds], Requantized | str]] = {
    "requantize": requantize,
    "requantize_tflite_int64": requantize_tflite_int64,
    "requantize_tosa": requantize_tosa,
}
"""Spec function -> its epilogue, or in words why it has none."""


def words(values: Array) -> tuple[Array, Array]:
    """The lower and the higher 32 bits of int64."""
    return values & 0xFFFFFFFF, values >> 32


def _multiplied(
    multiplier: Array, shifts: Array, unclamped: tuple[int, int, int], bounds: SumBounds, room: int, start: int = 0
) -> Requantized | str:
    """half_up((acc + start) * multiplier / 2**shift), where the quotient is an int32 with that much room.

    |acc * multiplier| < 2**62, and half of 2**62 is 2**61: their sum is an int64.
    """
    size = max(abs(b) for b in bounds)
    largest = int(np.abs(multiplier).max()) * size
    if not within(shifts, 0, MAX_SHIFT) or not within(bounds, *INT48) or largest >= 1 << MAX_SHIFT:
        return "its multiplier or its shift has no packed form"
    if (np.abs(multiplier) * size >> shifts).max() >= INT32[1] - room:
        return "the product may need more than 32 bits"
    return Requantized("multiplier_int64", NONE + start, (multiplier, shifts), *unclamped)
