"""Requantizers as epilogues: from a spec function's parameters to the vectors and scalars that an epilogue reads.

An epilogue must be proved to give the spec's codes for every accumulator within the bounds. Where it is not, or where
the spec refuses one of them, each function says so in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.kernels.packed.epilogues import EPILOGUES, FULL, NUMBERS, WORDS
from intsim.kernels.rounding import shift_terms
from intsim.kernels.saturate import limits

Array = np.ndarray[Any, Any]
SumBounds = tuple[int, int]

INT32 = (-(1 << 31), (1 << 31) - 1)
LONGEST_SHIFT = 31
LONGEST_WIDE_SHIFT = 62
BYTE, WORD = 255, 65535
NONE = np.zeros(1, np.int64)


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

    @property
    def long(self) -> bool:
        """Whether its accumulators have 64 bits."""
        return EPILOGUES[NUMBERS[self.epilogue]].long

    def number(self, stored: int, size: int = 1) -> int:
        """The number of the epilogue for results of `size` bytes, as what is stored: codes + `stored`.

        In its form for a full range where those are the bytes 0 to 255.
        """
        if size == 2:
            return NUMBERS[self.epilogue + WORDS]
        if self.long:
            return NUMBERS[self.epilogue]
        ends: Array = np.array([self.low, self.high])
        if EPILOGUES[NUMBERS[self.epilogue]].real:
            ends = ends.astype(np.int32).view(np.float32)
        full = (ends + self.offset + stored).tolist() == [0, BYTE]
        return NUMBERS[self.epilogue + FULL * full]


def requantize(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """requantize (spec/requantize.py) for accumulators within bounds, codes clamped to [low, high].

    The term that is always added lies in the start value where that cannot leave 32 bits. half_up and half_away, which
    are one formula in 64 bits, have no such limit there, and shift left as a multiplication.
    """
    shifts, zero, rounding = lanes(p["shift"]), zero_of(p, low, high), p["rounding"]
    if isinstance(zero, str):
        return zero
    unclamped = low - zero, high - zero, zero
    terms = np.array([shift_terms(rounding, min(max(int(s), 0), LONGEST_SHIFT)) for s in shifts], np.int64)
    always, negative, odd = terms.T
    worst = terms.clip(max=0).sum(axis=1).min(), terms.clip(min=0).sum(axis=1).max()
    if within(shifts, 0, LONGEST_SHIFT) and within(bounds, INT32[0] - worst[0], INT32[1] - worst[1]):
        if not negative.any() and not odd.any():
            return Requantized("shift", always, (shifts,), *unclamped)
        return Requantized("ties", always, (shifts, always, negative, odd), *unclamped)
    rules = ("half_up", "half_away") if (shifts > 0).any() else (rounding,)
    if rounding not in rules or not within(shifts, 1 - LONGEST_SHIFT, LONGEST_WIDE_SHIFT):
        return f"{rounding} with shifts of {shifts.min()} to {shifts.max()} and sums of {bounds[0]} to {bounds[1]}"
    multiplier, right = 1 << np.maximum(-shifts, 0), np.maximum(shifts, 0)
    if rounding == "half_away":
        return Requantized(
            "multiplier_ties", NONE, (multiplier, right, NONE, -(right > 0).astype(np.int64)), *unclamped
        )
    return _multiplied(multiplier, right, unclamped, bounds, refused=False)


def requantize_float32(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """requantize_float32 and requantize_xnnpack_fp32: the latter only bounds its multipliers, in its lowering."""
    zero = zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    least, most = (int(np.float32(v).view(np.int32)) for v in (low - zero, high - zero))
    multiplier = lanes(p["multiplier"], np.float32)
    largest = float(np.abs(multiplier).max()) * max(abs(b) for b in bounds)
    epilogue = "float32" if largest < INT32[1] >> 1 else "float32_large"  # far from where float32 rounds to 2**31
    return Requantized(epilogue, NONE, (multiplier.view(np.int32),), least, most, zero)


def requantize_gemmini(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """clip(half_even(x)) is half_even(clip(x)), since the clip's ends are integers: requantize_float32 without zero."""
    return requantize_float32({"multiplier": p["multiplier"]}, low, high, bounds)


def requantize_tflite(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """requantize_tflite and requantize_cmsis_nn: the multiplier -2**31, whose product may saturate, is left out."""
    multiplier, shifts, zero = lanes(p["multiplier"]), lanes(p["shift"]), zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    if not within(multiplier, INT32[0] + 1, INT32[1]) or not within(shifts, -LONGEST_SHIFT, LONGEST_SHIFT):
        return "its multiplier or its shift has no packed form"
    vectors = np.maximum(shifts, 0), multiplier, np.maximum(-shifts, 0)
    return Requantized("doubled", NONE, vectors, low - zero, high - zero, zero)


def requantize_single(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """requantize_tflite_single and requantize_cmsis_nn_single, both half_up(acc * m / 2**(31 - shift)).

    The latter: half_up(floor(p / 2**(t - 1)) / 2) = floor((floor(p / 2**(t - 1)) + 1) / 2) = floor(p / 2**t + 1/2).
    """
    shifts, zero = lanes(p["shift"]), zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    return _multiplied(lanes(p["multiplier"]), 31 - shifts, (low - zero, high - zero, zero), bounds)


def requantize_tflite_int64(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_up(acc * reduced(m) / 2**(15 - shift)), reduced(m) = min(half_up(m / 2**16), 2**15 - 1)."""
    multiplier, shifts, zero = lanes(p["multiplier"]), lanes(p["shift"]), zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    return _multiplied(reduced(multiplier), 15 - shifts, (low - zero, high - zero, zero), bounds)


def requantize_tosa(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_up((v * m + nudge) / 2**shift), v = acc - input_zero_point; nudge: 2**30 by the sign of v, of long shifts.

    m >= 0, so that the sign of v is that of the product, or the product is 0, and the nudge then rounds away.
    """
    multiplier, shifts, zero = lanes(p["multiplier"]), lanes(p["shift"]), zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    before = int(p.get("input_zero_point", 0))
    bounds = bounds[0] - before, bounds[1] - before
    half = 1 << max(int(shifts.min()) - 1, 0)
    if not within(multiplier, 0, INT32[1]) or not within(shifts, 2, LONGEST_WIDE_SHIFT):
        return "its multiplier or its shift has no packed form"
    if p.get("multiplier_bits", 32) == 32 and not within(bounds, -half, half - 1):
        return f"accumulators of {bounds[0]} to {bounds[1]} are outside TOSA's domain at a shift of {int(shifts.min())}"
    unclamped = low - zero, high - zero, zero
    found = _multiplied(multiplier, shifts, unclamped, bounds, start=-before, room=1 + abs(zero))
    if isinstance(found, str) or not p.get("double_rounding", False) or not (shifts > 31).any():
        return found
    nudge = np.where(shifts > 31, 1 << 30, 0)
    return Requantized("multiplier_ties", found.start, (multiplier, shifts, nudge, -2 * nudge), *unclamped)


def requantize_xnnpack_rndnu(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_up(acc * M / 2**n), multiplier = M / 2**n and 2**23 <= M < 2**24."""
    zero = zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    significand, exponent = np.frexp(lanes(p["multiplier"], np.float32))
    m = np.ldexp(significand, 24).astype(np.int64)
    return _multiplied(m, 24 - exponent.astype(np.int64), (low - zero, high - zero, zero), bounds)


def requantize_nvdla(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_away((acc - offset) * m / 2**shift), m of 16 bits."""
    return _half_away(p["multiplier"], p["shift"], -lanes(p.get("offset", 0)), low, high, bounds)


def requantize_nngen(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_away((acc + bias) * scale / 2**out_shift), where sum_shift is 0."""
    if np.any(p.get("sum_shift", 0)):
        return "its sum_shift has no packed form"
    return _half_away(p.get("scale", 1), p["out_shift"], lanes(p.get("bias", 0)), low, high, bounds)


def requantize_max7800x(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_up((acc + bias * 2**7) / 2**(7 - output_shift)): requantize, with the bias in the start value."""
    start = 128 * lanes(p.get("bias", 0))
    bounds = bounds[0] + int(start.min()), bounds[1] + int(start.max())
    if not within(bounds, *INT32):
        return "the accumulator and its bias need more than 32 bits"
    shifts = 7 - lanes(p["output_shift"])
    found = requantize({"shift": shifts, "rounding": "half_up"}, low, high, bounds)
    if isinstance(found, str):
        return found
    return Requantized(found.epilogue, found.start + start, found.vectors, found.low, found.high, found.offset)


def requantize_pulp(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """((acc + input_offset) * m + addend + half, modulo 2**32) >> shift: wrapping once is wrapping at each step."""
    zero = zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    if p.get("overflow", "wrap") != "wrap":
        return "its sums trap"
    shifts = lanes(p["shift"])
    half = (1 << shifts) >> 1 if p.get("rounding", "half_up") == "half_up" else np.zeros_like(shifts)
    start = lanes(p.get("input_offset", 0))
    vectors = lanes(p["multiplier"]), lanes(p.get("addend", 0)) + half, shifts
    return Requantized("wrap", start, vectors, low - zero, high - zero, zero)


def requantize_onnx_reference(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_even(float64(acc) * m + zero): the zero point is a vector, for it comes before the rounding."""
    if high - low > WORD:
        return "its codes have more than 16 bits"
    vectors = lanes(p["multiplier"], np.float32).view(np.int32), lanes(p.get("zero_point", 0))
    return Requantized("float64_half_even", NONE, vectors, low, high, 0)


def requantize_tflite_float64(p: Mapping[str, Any], low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_away(float64(acc) * m), where that is an int32."""
    zero = zero_of(p, low, high)
    if isinstance(zero, str):
        return zero
    multiplier = lanes(p["multiplier"], np.float64)
    if max(abs(b) for b in bounds) * multiplier.max() >= 2.0**31 - 2:
        return "the product may need more than 32 bits"
    words = multiplier.view(np.int64)
    vectors = words & 0xFFFFFFFF, words >> 32
    return Requantized("float64_half_away", NONE, vectors, low - zero, high - zero, zero)


REQUANTIZERS: Mapping[str, Callable[[Mapping[str, Any], int, int, SumBounds], Requantized | str]] = {
    "requantize": requantize,
    "requantize_cmsis_nn": requantize_tflite,
    "requantize_cmsis_nn_single": requantize_single,
    "requantize_float32": requantize_float32,
    "requantize_gemmini": requantize_gemmini,
    "requantize_max7800x": requantize_max7800x,
    "requantize_nngen": requantize_nngen,
    "requantize_nvdla": requantize_nvdla,
    "requantize_onnx_reference": requantize_onnx_reference,
    "requantize_pulp": requantize_pulp,
    "requantize_tflite": requantize_tflite,
    "requantize_tflite_float64": requantize_tflite_float64,
    "requantize_tflite_int64": requantize_tflite_int64,
    "requantize_tflite_single": requantize_single,
    "requantize_tosa": requantize_tosa,
    "requantize_xnnpack_fp32": requantize_float32,
    "requantize_xnnpack_rndnu": requantize_xnnpack_rndnu,
}
"""Spec function -> its epilogue, or in words why it has none."""


def format_limits(p: Mapping[str, Any]) -> tuple[int, int]:
    """The lowest and the highest code of a requantizer's output format."""
    return limits(int(p["bits"]), bool(p["signed"]), bool(p.get("narrow", False)))


def _multiplied(
    multiplier: Array,
    shifts: Array,
    unclamped: tuple[int, int, int],
    bounds: SumBounds,
    start: int = 0,
    room: int = 1,
    refused: bool = True,
) -> Requantized | str:
    """half_up(acc * multiplier / 2**shift); refused: only where the quotient is an int32, with that much room.

    |acc * multiplier| <= 2**62, and half of 2**62 is 2**61: their sum is an int64.
    """
    if not within(multiplier, *INT32) or not within(shifts, 0, LONGEST_WIDE_SHIFT) or not within(bounds, *INT32):
        return "its multiplier or its shift has no packed form"
    size = max(abs(b) for b in bounds)
    if refused and (np.abs(multiplier) * size >> shifts).max() >= INT32[1] - room:
        return "the product may need more than 32 bits"
    return Requantized("multiplier", np.array([start]), (multiplier, shifts), *unclamped)


def _half_away(multiplier: Any, shifts: Any, start: Array, low: int, high: int, bounds: SumBounds) -> Requantized | str:
    """half_away((acc + start) * multiplier / 2**shift)."""
    multiplier, shifts = lanes(multiplier), lanes(shifts)
    bounds = bounds[0] + int(start.min()), bounds[1] + int(start.max())
    if high - low > WORD or not within(shifts, 0, LONGEST_WIDE_SHIFT) or not within(multiplier, *INT32):
        return "its codes, its multiplier or its shift has no packed form"
    if not within(bounds, *INT32):
        return "the accumulator less its offset needs more than 32 bits"
    vectors = multiplier, shifts, NONE, -(shifts > 0).astype(np.int64)
    return Requantized("multiplier_ties", start, vectors, low, high, 0)


def reduced(multiplier: Array) -> Array:
    """min(half_up(multiplier / 2**16), 2**15 - 1)."""
    return np.minimum((multiplier + (1 << 15)) >> 16, (1 << 15) - 1)


def lanes(values: Any, dtype: Any = np.int64) -> Array:
    """One value a channel, or one."""
    return np.atleast_1d(np.asarray(values, dtype))


def zero_of(p: Mapping[str, Any], low: int, high: int) -> int | str:
    """The zero point of codes of at most 16 bits."""
    zero = np.unique(p.get("zero_point", 0))
    if len(zero) != 1:
        return "zero points differ by channel"
    return int(zero[0]) if high - low <= WORD else "its codes have more than 16 bits"


def within(values: Any, low: Any, high: Any) -> bool:
    """Whether all values lie in [low, high]."""
    return bool(np.min(values) >= low and np.max(values) <= high)
