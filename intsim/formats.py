"""Formats: what the integers of a tensor mean, and the names of the rules that make them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.errors import MalformedGraph, OutOfDomain, shown
from intsim.fields import LARGEST_INTEGER, Fields
from intsim.levels import BITS, Levels, split_signs

ROUNDINGS = (
    "half_up",
    "half_down",
    "half_even",
    "half_away",
    "half_to_zero",
    "floor",
    "ceil",
    "toward_zero",
    "away_from_zero",
)
"""Rounding rules. The first five round to the nearest integer and name what a tie does (half_up: to +inf)."""

OVERFLOWS = ("wrap", "saturate", "trap")
"""What an accumulator does with a sum that does not fit: two's complement, clamp after each addition, error."""

SMALLEST_SCALE = float(np.finfo(np.float32).smallest_subnormal)
LARGEST_SCALE = float(np.finfo(np.float32).max)
"""What float32 can hold."""


@dataclass(frozen=True)
class Format:
    """The meaning of a tensor's integer codes: real = scale * (code - zero_point).

    bits: 1 to 64. signed: two's complement or unsigned. narrow: the lowest signed code is not used.
    scale: one float per tensor, or one per index of `axis`; exact float32 values.
    zero_point: one integer per tensor, or one per index of `axis`; in codes.
    A shared exponent e is the case scale = 2**e, zero_point = 0 (`exponents` tells).
    levels: of POST and POT weights: real = scale * level(code), scale being their alpha; None: the codes are uniform.
    """

    bits: int
    signed: bool = True
    narrow: bool = False
    scale: tuple[float, ...] = (1.0,)
    zero_point: tuple[int, ...] = (0,)
    axis: int | None = None
    levels: Levels | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise OutOfDomain(f"bits must be 1 to 64, not {shown(self.bits)}")
        if not self.scale or not all(math.isfinite(s) and s > 0 for s in self.scale):
            bad = next((s for s in self.scale if not (math.isfinite(s) and s > 0)), None)
            raise MalformedGraph(f"scale must be positive and finite, not {shown(bad)}")
        if self.axis is None and (len(self.scale) != 1 or len(self.zero_point) != 1):
            raise MalformedGraph(f"{len(self.scale)} scales and {len(self.zero_point)} zero points, but no axis")
        if self.levels is not None and (self.signed or any(self.zero_point) or not BITS[0] <= self.bits <= BITS[1]):
            raise MalformedGraph(
                f"codes of {self.levels.rule} weights must be unsigned, of {BITS[0]} to {BITS[1]} bits and without "
                f"zero point, not of {self.bits} bits"
            )
        if any(not self.low <= z <= self.high for z in self.zero_point):
            raise MalformedGraph(f"zero_point must be within {self.low} to {self.high}, not {shown(self.zero_point)}")

    @property
    def low(self) -> int:
        """The lowest code."""
        return (-(1 << (self.bits - 1)) + int(self.narrow)) if self.signed else 0

    @property
    def high(self) -> int:
        """The highest code."""
        return (1 << (self.bits - int(self.signed))) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest standard integer dtype that holds every code (int4 lives in int8)."""
        return storage_dtype(self.bits, self.signed)

    @property
    def exponents(self) -> tuple[int, ...] | None:
        """Shared exponents e with scale = 2**e, one per scale; None where a scale is no power of two."""
        parts = [math.frexp(s) for s in self.scale]
        return tuple(e - 1 for _, e in parts) if all(m == 0.5 for m, _ in parts) else None

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale or zero point."""
        return len(self.scale) > 1 or len(self.zero_point) > 1

    @property
    def scales(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The scales as float32[channels], of length 1 per tensor."""
        return np.array(self.scale, np.float32)

    @property
    def zero_points(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The zero points as int64[channels], of length 1 per tensor."""
        return np.array(self.zero_point, np.int64)

    def real(self, codes: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Reals, float32[...]: float32(code - zero_point) * scale, as ONNX's DequantizeLinear defines it.

        With levels: level * scale, the level correctly rounded to float32.
        """
        shape = [1] * codes.ndim
        if self.per_channel and self.axis is not None:
            shape[self.axis] = -1
        if self.levels is not None:
            return self.levels.reals(codes, self.bits) * self.scales.reshape(shape)
        centred = codes.astype(np.int64) - self.zero_points.reshape(shape)
        return centred.astype(np.float32) * self.scales.reshape(shape)

    def check(self, codes: np.ndarray[Any, Any], name: str) -> None:
        """Raise OutOfDomain, naming the tensor and the first coordinate, if a code is outside the format."""
        if codes.size == 0 or (self.levels is None and codes.min() >= self.low and codes.max() <= self.high):
            return
        wrong = (codes < self.low) | (codes > self.high)
        if self.levels is not None:
            negative, magnitude = split_signs(codes, self.bits)
            wrong |= negative & (magnitude == 0)
        if not wrong.any():
            return
        bad = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise OutOfDomain(
            f"tensor {name!r}: code {int(codes[bad])} at {bad} is outside {self} ({self.low} to {self.high})"
        )

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON and TOML; `from_dict` reads it back exactly."""
        data: dict[str, Any] = {
            "bits": self.bits,
            "signed": self.signed,
            "narrow": self.narrow,
            "scale": list(self.scale),
            "zero_point": list(self.zero_point),
            "axis": self.axis,
        }
        return data if self.levels is None else {**data, "levels": self.levels.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Format:
        """The Format that `to_dict` wrote. Errors: UnusableInput, OutOfDomain, MalformedGraph."""
        fields = Fields(data, "format")
        return cls(
            fields.integer("bits", 1, 64),
            fields.flag("signed"),
            "narrow" in fields and fields.flag("narrow"),
            fields.numbers("scale", SMALLEST_SCALE, LARGEST_SCALE) if "scale" in fields else (1.0,),
            fields.integers("zero_point", -LARGEST_INTEGER - 1) if "zero_point" in fields else (0,),
            fields.integer("axis", 0) if "axis" in fields else None,
            Levels.from_dict(fields.table("levels").data) if "levels" in fields else None,
        )

    def __str__(self) -> str:
        kind = f"{'i' if self.signed else 'u'}{self.bits}"
        if self.levels is not None:
            kind = f"{self.levels.rule}{self.bits} guard {self.levels.guard_bits} {self.levels.variant}"
        exponents = self.exponents
        if exponents is not None:
            low, high = min(exponents), max(exponents)
            unit = f"2**{low}" if low == high else f"2**{low}…{high}"
        elif len(self.scale) == 1:
            unit = f"{self.scale[0]:.6g}"
        else:
            unit = f"{min(self.scale):.4g}…{max(self.scale):.4g}"
        zero = "" if not any(self.zero_point) else f" zero {self.zero_point[0]}"
        return f"{kind} x {unit}{zero}{' per channel' if self.per_channel else ''}"


def round_quotient(n: Any, d: Any, rounding: str) -> Any:
    """n / d, rounded to an integer by the named rule: a Python integer, or an array of integers.

    n, d > 0: Python integers of any size, or arrays int64[...] or object[...] that broadcast.
    rounding: one of ROUNDINGS. Spec and kernels have tie rules of their own, so that each judges the others;
    all else rounds quotients of integers here.
    """
    floor = n // d
    remainder = n - floor * d
    rest = d - remainder  # from the quotient up to floor + 1; twice the remainder might leave int64
    above, tie, inexact = remainder > rest, remainder == rest, remainder > 0
    up = {
        "half_up": above | tie,
        "half_down": above,
        "half_even": above | (tie & (floor % 2 == 1)),
        "half_away": above | (tie & (floor >= 0)),
        "half_to_zero": above | (tie & (floor < 0)),
        "floor": False,
        "ceil": inexact,
        "toward_zero": inexact & (floor < 0),
        "away_from_zero": inexact & (floor >= 0),
    }[rounding]
    return floor + up


def storage_dtype(bits: int, signed: bool) -> np.dtype[Any]:
    """The smallest of NumPy's integer dtypes with at least `bits` bits."""
    width = next(w for w in (8, 16, 32, 64) if bits <= w)
    return np.dtype(f"{'' if signed else 'u'}int{width}")
