"""Second formulations of what the spec says: Python integers, fractions and scalar loops, none of intsim's code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# The module decimal has its own names: its HALF_UP is half away from zero, its HALF_DOWN half to zero.
DECIMAL = {
    "half_even": ROUND_HALF_EVEN,
    "half_away": ROUND_HALF_UP,
    "half_to_zero": ROUND_HALF_DOWN,
    "floor": ROUND_FLOOR,
    "ceil": ROUND_CEILING,
    "toward_zero": ROUND_DOWN,
    "away_from_zero": ROUND_UP,
}

HALF = Fraction(1, 2)

FRACTION: dict[str, Callable[[Fraction], int]] = {
    "half_up": lambda v: math.floor(v + HALF),
    "half_down": lambda v: math.ceil(v - HALF),
    "half_even": round,
    "half_away": lambda v: math.floor(v + HALF) if v > 0 else math.ceil(v - HALF),
    "half_to_zero": lambda v: math.ceil(v - HALF) if v > 0 else math.floor(v + HALF),
    "floor": math.floor,
    "ceil": math.ceil,
    "toward_zero": math.trunc,
    "away_from_zero": lambda v: math.ceil(v) if v > 0 else math.floor(v),
}


def clipped(value: int, bits: int, signed: bool, narrow: bool = False) -> int:
    """The value clipped to a format."""
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return low if value < low else high if value > high else value


def wrapped(value: int, bits: int) -> int:
    """The value in `bits` bits of two's complement."""
    return (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def float32(value: Fraction) -> np.float32:
    """The float32 nearest to an exact value, ties to the even significand: IEEE 754's rounding, from its text."""
    if value == 0:
        return np.float32(0)
    exponent = max(math.floor(math.log2(abs(value))) - 1, -126)
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 23)
    nearest = round(value / unit) * unit  # round: ties to even, and the significand is value / unit
    return (
        np.float32(math.inf if value > 0 else -math.inf)
        if abs(nearest) >= Fraction(2) ** 128
        else np.float32(float(nearest))
    )


def accumulate(addends: Sequence[int], bits: int, overflow: str) -> tuple[int, bool]:
    """The accumulator after the additions, one by one, and whether it overflowed."""
    if overflow == "wrap":
        total = sum(addends)
        return wrapped(total, bits), wrapped(total, bits) != total
    acc, overflowed = 0, False
    for addend in addends:
        overflowed |= acc + addend != clipped(acc + addend, bits, True)
        acc = clipped(acc + addend, bits, True)
    return acc, overflowed


def conv_addends(
    x: Array,
    w: Array,
    at: Sequence[int],
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    groups: int,
    x_zero: int = 0,
    w_zero: Sequence[int] | int = 0,
    bias: Sequence[int] | None = None,
) -> list[int]:
    """What one output element of a convolution adds up, in MAC order."""
    image, m, *place = at
    zero = w_zero if isinstance(w_zero, int) else w_zero[m]
    first = m // (w.shape[0] // groups) * w.shape[1]
    terms = []
    for c in range(w.shape[1]):
        for tap in itertools.product(*map(range, w.shape[2:])):
            spot = [p * s + t * d - b for p, s, t, d, b in zip(place, strides, tap, dilations, pads, strict=False)]
            inside = all(0 <= i < n for i, n in zip(spot, x.shape[2:], strict=True))
            code = int(x[(image, first + c, *spot)]) if inside else x_zero
            terms.append((code - x_zero) * (int(w[(m, c, *tap)]) - zero))
    return [*terms, 0 if bias is None else bias[m]]


def window_elements(
    x: Array,
    at: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> tuple[list[int], int]:
    """The elements of the image in a window, row by row, and how many places it has in the image and its padding."""
    image, c, *place = at
    elements, places = [], 0
    rank = len(kernel)
    for tap in itertools.product(*map(range, kernel)):
        spot = [p * s + t * d - b for p, s, t, d, b in zip(place, strides, tap, dilations, pads, strict=False)]
        if all(0 <= i < n for i, n in zip(spot, x.shape[2:], strict=True)):
            elements.append(int(x[(image, c, *spot)]))
        places += all(-pads[i] <= spot[i] < x.shape[2 + i] + pads[rank + i] for i in range(rank))
    return elements, places


def output_length(n: int, kernel: int, stride: int, dilation: int, before: int, after: int, ceil_mode: bool) -> int:
    """How many windows there are: counted, one start after the other."""
    starts, last = [0], n + before + after - (dilation * (kernel - 1) + 1)
    while starts[-1] + stride <= last or (ceil_mode and starts[-1] < last):
        starts.append(starts[-1] + stride)
    return len(starts) - (ceil_mode and starts[-1] >= n + before)
