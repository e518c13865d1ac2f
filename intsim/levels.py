"""Levels: weights that are powers of two, or of the square root of two, times one scale alpha.

    post: alpha * {0, ±2**(-k/2)}    pot: alpha * {0, ±2**-k}    k = 0 … 2**(b-1) - 2

A code has b bits: the sign in the most significant bit, the magnitude m below it. m = 0 is zero (there is no negative
zero), else k = m - 1. Source: the ASQ paper's POST weights; the code is the project's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isqrt
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, shown
from intsim.fields import Fields

Array = np.ndarray[Any, Any]

RULES = ("post", "pot")
"""Names of the level rules; a magnitude step is half an octave (post) or a whole one (pot)."""

VARIANTS = ("shared", "full")
"""How products are made: `shared`: one table for the odd half octaves, and shifts; `full`: one rounding a level."""

BITS = (2, 8)
"""The narrowest and the widest code."""

GUARD_BITS = (0, 12)
"""The fewest and the most fraction bits that products carry."""


@dataclass(frozen=True)
class Levels:
    """Which reals the codes of a weight tensor mean, and how their products with activations are rounded.

    rule: one of RULES. guard_bits: F, the fraction bits of each product. variant: one of VARIANTS.
    """

    rule: str
    guard_bits: int
    variant: str

    def __post_init__(self) -> None:
        for value, known, what in ((self.rule, RULES, "rule"), (self.variant, VARIANTS, "variant")):
            if value not in known:
                raise OutOfDomain(f"{what} of the levels must be one of {', '.join(known)}, not {shown(value)}")
        if not GUARD_BITS[0] <= self.guard_bits <= GUARD_BITS[1]:
            raise OutOfDomain(f"guard_bits must be {GUARD_BITS[0]} to {GUARD_BITS[1]}, not {self.guard_bits!r}")

    def half_octaves(self, bits: int) -> Array:
        """k' of each magnitude 1 …, i64[2**(bits - 1) - 1]: the level is 2**(-k'/2)."""
        return np.arange((1 << (bits - 1)) - 1, dtype=np.int64) * (1 if self.rule == "post" else 2)

    def magnitudes(self, bits: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The level of each magnitude, f32[2**(bits - 1)]: 0, then 2**(-k'/2), correctly rounded."""
        halves = self.half_octaves(bits)
        # float32(sqrt(1/2)) is correctly rounded, and a power of two does not round it again
        odd = np.where(halves % 2 == 1, np.float32(np.sqrt(np.float32(0.5))), np.float32(1.0)).astype(np.float32)
        return np.concatenate([np.zeros(1, np.float32), np.ldexp(odd, -(halves // 2).astype(np.int32))])

    def reals(self, codes: Array, bits: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The signed level of each code, f32[...], without alpha."""
        negative, magnitude = split_signs(codes, bits)
        level = self.magnitudes(bits)[magnitude]
        return np.where(negative, -level, level)

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON and TOML; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Levels:
        """The Levels that `to_dict` wrote. Errors: UnusableInput, OutOfDomain."""
        fields = Fields(data, "levels")
        return cls(fields.text("rule"), fields.integer("guard_bits", *GUARD_BITS), fields.text("variant"))


def product_table(levels: Levels, bits: int, low: int, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """T[m, x - low], i64[2**(bits - 1), high - low + 1]: the product of x and the level m in units of 2**-guard_bits.

    The definition is spec.post_table's; made with integer square roots only. Source: paper section "POST" of ASQ.
    """
    product = _shared if levels.variant == "shared" else _full
    ks = [int(k) for k in levels.half_octaves(bits)]
    rows = [[product(x, k, levels.guard_bits) for x in range(low, high + 1)] for k in ks]
    return np.array([[0] * (high - low + 1), *rows], np.int64)


def half_up_root(x: int, n: int) -> int:
    """half_up(x * 2**(n/2)) = floor((floor(2 x 2**(n/2)) + 1) / 2), exactly; n of any sign.

    floor(sqrt(q)) = isqrt(floor(q)) and ceil(sqrt(q)) = isqrt(ceil(q) - 1) + 1 for a rational q > 0.
    """
    square, shift = x * x, n + 2  # (2 x 2**(n/2))**2 = x**2 2**(n + 2)
    if x >= 0:
        doubled = isqrt(square << shift if shift >= 0 else square >> -shift)
    else:
        ceiling = square << shift if shift >= 0 else -(-square >> -shift)
        doubled = -(isqrt(ceiling - 1) + 1)
    return (doubled + 1) >> 1


def _shared(x: int, k: int, guard_bits: int) -> int:
    """k even: a shift of x, by floor; k odd: the look-up table's half_up(x 2**(F - 1/2)), shifted right by floor."""
    if k % 2:
        return half_up_root(x, 2 * guard_bits - 1) >> ((k - 1) // 2)
    shift = guard_bits - k // 2
    return x << shift if shift >= 0 else x >> -shift


def _full(x: int, k: int, guard_bits: int) -> int:
    """half_up(x 2**(F - k/2))."""
    return half_up_root(x, 2 * guard_bits - k)


def split_signs(codes: Array, bits: int) -> tuple[Array, Array]:
    """Whether each code is negative (bool[...]), and its magnitude m (i64[...])."""
    wide = np.asarray(codes).astype(np.int64)
    half = 1 << (bits - 1)
    return wide >= half, wide % half


def join_signs(negative: Array, magnitude: Array, bits: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The codes of signs and magnitudes, u8[...]; a zero has no sign."""
    return (magnitude + np.where(negative & (magnitude > 0), 1 << (bits - 1), 0)).astype(np.uint8)
