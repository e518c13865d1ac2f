"""Boundary values for the tests of spec, kernels and golden vectors: one generator, and no judge.

Nothing here knows what a right result is: the same values go to any device under test, and whoever calls says what
is expected. All of it is fixed by formula or seed, and ascending unless its name says otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Reals = np.ndarray[Any, np.dtype[np.float32]]

INT32 = (-(2**31), 2**31 - 1)
INT48 = (-(2**47), 2**47 - 1)
INT64 = (-(2**63), 2**63 - 1)

BESIDE = (-1, 0, 1)
"""A boundary, and the last value on either side of it: where `<` and `<=` part."""


def integers(low: int, high: int) -> list[int]:
    """The integers within low to high where arithmetic of that range may go wrong."""
    return _within(low, high, _integers(low, high))


def _integers(low: int, high: int) -> Iterator[int]:
    yield from range(-3, 4)  # zero, both signs, and the least ties of a shift by 1
    yield from (
        low,
        low + 1,
        low + 2,
    )  # the least has no negative; 2 above it, an offset has room
    yield from (high, high - 1, high - 2)  # where the addend of a rounding leaves the range
    yield from (low // 2, low // 2 - 1, high // 2, high // 2 + 1)  # where doubling leaves the range
    for power in range(max(abs(low), abs(high)).bit_length() + 1):
        for beside in BESIDE:  # 2**k is one bit alone, 2**k - 1 the longest carry
            yield 2**power + beside
            yield -(2**power) + beside


def corners(low: int, high: int) -> list[int]:
    """The few of `integers` that no test may leave out: zero, signs, both ends, and where doubling leaves the range."""
    near_zero = range(-3, 4)
    return _within(low, high, (*near_zero, low, low + 2, low // 2, high // 2 + 1, high - 1, high))


def ties(shift: int, low: int, high: int) -> list[int]:
    """The integers within low to high at and beside the ties and the whole results of a shift to the right."""
    return quotient_ties(2**shift, low, high) if shift > 0 else _within(low, high, range(-3, 4))


def quotient_ties(divisor: int, low: int, high: int) -> list[int]:
    """The integers within low to high at and beside the halves and the whole results of a division."""
    return _within(low, high, _quotient_ties(divisor, low, high))


def _quotient_ties(divisor: int, low: int, high: int) -> Iterator[int]:
    quotients = (
        *range(-3, 4),  # both parities and both signs: all that a tie rule looks at
        *(-129, -128, -127, 126, 127, 128, 255, 256),  # the ends of 8 bits: a tie decides whether the code is clipped
        *(low // divisor, low // divisor + 1, high // divisor - 1, high // divisor),  # the last results of the range
    )
    for quotient in quotients:
        for beside in BESIDE:
            yield quotient * divisor + beside  # no remainder, the least, and the greatest
            yield quotient * divisor + divisor // 2 + beside  # the tie (an odd divisor has none: its two neighbours)


def pair_sums(count: int, low: int, high: int, seed: int) -> list[int]:
    """Random sums and differences of two of `integers` within low to high, as drawn: two carries that meet.

    TestFloat draws its operands so: a run of ones between two random places is likelier to break an adder than noise.
    """
    source, values = random.Random(seed), integers(low, high)
    drawn: list[int] = []
    while len(drawn) < count:
        total = source.choice(values) + source.choice((-1, 1)) * source.choice(values)
        if low <= total <= high:
            drawn.append(total)
    return drawn


def shifts(bits: int) -> list[int]:
    """Shifts to the right (left where negative) at which arithmetic of that many bits changes its way."""
    return [
        *(-bits, 1 - bits),  # to the left: 1 leaves the range, -1 just stays
        -1,  # the least shift to the left
        *(0, 1, 2),  # nothing to round; a half is the only remainder; the first remainder on either side of a tie
        *(bits // 2 - 1, bits // 2, bits // 2 + 1),  # where code with two words of half the width changes words
        *(bits - 3, bits - 2),  # the last shifts whose half may be added to half of the range
        *(bits - 1, bits),  # the sign alone is left; then the least is a tie of -1/2
        bits + 1,  # nothing but a sign, never a tie; in C undefined
        1024,  # the longest that the spec takes
    ]


def slopes(shift: int) -> list[int]:
    """Slopes of a leaky ReLU in units of 2**-shift."""
    return [
        *(0, 1, -1),  # nothing is left; the least of either sign
        *(3, 26, -3),  # odd, even, and negative: results rise where the argument falls
        *(1 << shift, -(1 << shift)),  # the argument itself, and its negative
        5 << shift,  # out of a narrow range from a fifth of it on
        *INT32,  # the ends of a slope
    ]


MANTISSAS = (
    2**30,  # the least normalized multiplier: a plain shift
    2**31 - 1,  # the greatest
    0x7FFF0000,  # TFLite's 16-bit multiplier saturates from here on
    0x7FFEFFFF,  # the last one below: rounds up to the greatest 16-bit multiplier
)
"""Multipliers of 31 bits."""

SIGNED_MULTIPLIERS = (
    *(INT32[0], INT32[0]),  # twice, for two shifts: the one product of two int32 that the doubling high half saturates
    INT32[1],  # the greatest
)
"""Multipliers of 32 bits with a sign."""


def multiplier_ties(multiplier: float, low: int, high: int) -> list[int]:
    """Integers at and beside those whose product with the multiplier is the nearest to a tie of codes low to high."""
    values = {round((code + 0.5) / multiplier) + beside for code in range(low, high) for beside in (-2, *BESIDE, 2)}
    return sorted(values)


def half_steps(scale: float, low: int, high: int) -> Reals:
    """float32 reals at and next to each code's real and each tie of codes low to high: floor and ceil part at the
    first, the tie rules at the second; the neighbours show a rule that is applied to a rounded quotient."""
    steps = (np.arange(2 * low, 2 * high + 1) / 2 * np.float64(scale)).astype(np.float32)
    return np.concatenate([np.nextafter(steps, np.float32(end)) for end in (-np.inf, np.inf)] + [steps])


E = 2.0**-12  # (1 + E)**2 = 1 + 2 * E + E**2: its last bit is half a unit of float32
FUSED = (
    # a, b, c of a * b + c in float32
    (1 + E, 1 + E, 2.0**-60),  # a tie of float32 in a * b, broken upwards far below float64's last bit
    (1 + E, 1 + E, -(2.0**-60)),  # the same, broken downwards
    (1 + E, -1 - E, 2.0**-60),  # negative
    (1 + E, 1 + E, 0.0),  # a tie that stays one, to even
    (1 + 3 * E, 1 + E, 0.0),  # and one whose even neighbour is above
    (1 + E, 1 + E, -1.0),  # the product's lost bits are all that is left
    (1 + 2.0**-23, 1 - 2.0**-23, -1.0),  # -2**-46: a rounded product would give 0
    (3.0, 1 / 3, -1.0),  # a quotient's remainder
    (2.0**-100, 2.0**-49, 0.0),  # half the least float32, a tie to zero
    (2.0**-100, 1.5 * 2.0**-49, 0.0),  # above that tie
    (2.0**-75, 2.0**-75, 2.0**-126),  # a subnormal product beside the least normal number
    (1.0, 2.0**100, 1.0),  # an addend that only counts as "not exactly"
    (1.0, 2.0**24, 1.0),  # a tie to even, downwards
    (1.0, 2.0**24 + 2, 1.0),  # a tie to even, upwards
    (0.0, 5.0, 7.0),  # no product
    (0.0, 5.0, 0.0),  # and nothing else
    (1 + 2.0**-23, 1 + 2.0**-23, -1.0),  # 2**-22 + 2**-46: the product's lowest bit survives
    (1 + E, 1 - E, 2.0**-24),  # 1 exactly, once the parts are added
    (1.0, 1 + 2.0**-23, 2.0**-24),  # a tie of float32: to the even significand
    (1.0, 1 + 2.0**-23, 2.0**-24 + 2.0**-47),  # just above the tie
    (1 + 2.0**-23, 1 + 2.0**-1, 2.0**-70),  # above a tie by less than float64 sees: naive double rounding is wrong
    (1 + 2.0**-23, 1 + 2.0**-1, -(2.0**-70)),  # below it
    (2.0**-100, 2.0**-50, 0.0),  # a quarter of the least float32
    (2.0**-100, 2.0**-50, 2.0**-149),  # one and a quarter of it
)
FUSED_BEYOND = (
    # the same where a product or a sum leaves float32
    (3.0e38, 1.0, 3.0e38),  # overflows to infinity
    (3.0e38, 2.0, -3.0e38),  # does not: only the exact product is too large
)


# What golden vectors record: named here with the rest, and fixed for good. Order and repetition are part of a file.

GOLDEN_TIES = [k * 8 + d for k in range(-6, 7) for d in (-5, -4, -3, -1, 0, 1, 3, 4, 5)]
"""Sums around the ties of a right shift by 3."""

GOLDEN_LIMITS = [s * (b + d) for s in (-1, 1) for b in (127 * 8, 128 * 8, 255 * 8, 2**24, 2**31 - 9) for d in range(9)]
"""Sums around the ends of 8 bits after a shift by 3, of float32's whole numbers, and of int32."""

GOLDEN_MANTISSA = [s * (2**24 + d) for s in (-1, 1) for d in range(-4, 9)]
"""Sums around the last of float32's whole numbers."""

GOLDEN_SLOPED = [-32768, -385, -384, -5, -3, -1, 0, 1, 32767]
"""Sums of 16 bits: both ends, and negative ones whose products with 3/2 are ties or lie beside one."""

GOLDEN_EIGHTHS = [k / 8 for k in range(-44, 45)]
"""Reals at the ties of a step of 1/4, at its whole results, and beyond the codes."""

GOLDEN_NEXT_TO_TIES = [np.nextafter(np.float32(k + 0.5), np.float32(s * 1e9)) for k in range(-9, 9) for s in (-1, 1)]
"""The float32 next to ties of a step of 1, on both sides."""

GOLDEN_ENDS = [s * v for s in (-1, 1) for v in (126.5, 127, 127.5, 128, 255.5, 1e9, 3.4e38, 0, 1e-45)]
"""Reals around the ends of 8 bits, float32's own ends, and zero of either sign."""

GOLDEN_TIES_OF_3_TENTHS = [0.3 * (k + 0.5) for k in range(-40, 40)]
"""Reals as near to the ties of a step of 0.3 as float32 has them."""


def _within(low: int, high: int, values: Iterable[int]) -> list[int]:
    return sorted({value for value in values if low <= value <= high})
