"""Requantizers as epilogues: from a spec function's parameters to the vectors and scalars that an epilogue reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.kernels.rounding import shift_terms
from intsim.kernels.saturate import limits

Array = np.ndarray[Any, Any]

INT32 = (-(1 << 31), (1 << 31) - 1)
LONGEST_SHIFT = 31


@dataclass(frozen=True)
class Requantized:
    """An epilogue and its numbers.

    start: int64[channels] or [1], what is added to the accumulator's start value. vectors: 32 bits [k, channels or 1].
    low, high, offset: the bits of rows.LOW, HIGH and OFFSET but for the stored offset; clip: those of the format.
    """

    epilogue: str
    start: Array
    vectors: tuple[Array, ...]
    low: int
    high: int
    offset: int


def requantize(p: Mapping[str, Any], low: int, high: int, bounds: tuple[int, int]) -> Requantized | str:
    """requantize (spec/requantize.py) for accumulators within bounds, codes clamped to [low, high]."""
    shifts = np.atleast_1d(np.asarray(p["shift"], np.int64))
    zero = np.unique(p.get("zero_point", 0))
    if len(zero) != 1:
        return "zero points differ by channel"
    if (shifts < 0).any() or (shifts > LONGEST_SHIFT).any():
        return f"it shifts by {int(shifts.min())} to {int(shifts.max())}"
    terms = np.array([shift_terms(p["rounding"], int(s)) for s in shifts], np.int64)
    always, negative, odd = terms.T
    worst = int(terms.clip(min=0).sum(axis=1).max()), int(terms.clip(max=0).sum(axis=1).min())
    if bounds[0] + worst[1] < INT32[0] or bounds[1] + worst[0] > INT32[1]:
        return "the accumulator and its rounding term need more than 32 bits"
    z = int(zero[0])
    if not negative.any() and not odd.any():
        return Requantized("shift", always, (shifts,), low - z, high - z, z)
    return Requantized("ties", always, (shifts, always, negative, odd), low - z, high - z, z)


def requantize_float32(p: Mapping[str, Any], low: int, high: int, bounds: tuple[int, int]) -> Requantized | str:
    """requantize_float32 (spec/requantize_float32.py), codes clamped to [low, high]."""
    zero = np.unique(p.get("zero_point", 0))
    if len(zero) != 1:
        return "zero points differ by channel"
    z = int(zero[0])
    multiplier = np.atleast_1d(np.asarray(p["multiplier"], np.float32)).view(np.int32)
    least, most = (int(np.float32(v).view(np.int32)) for v in (low - z, high - z))
    return Requantized("float32", np.zeros(1, np.int64), (multiplier,), least, most, z)


REQUANTIZERS: Mapping[str, Callable[[Mapping[str, Any], int, int, tuple[int, int]], Requantized | str]] = {
    "requantize": requantize,
    "requantize_float32": requantize_float32,
}
"""Spec function -> its epilogue, or in words why it has none."""


def format_limits(p: Mapping[str, Any]) -> tuple[int, int]:
    """The lowest and the highest code of a requantizer's output format."""
    return limits(int(p["bits"]), bool(p["signed"]), bool(p.get("narrow", False)))
