"""TOSA's multipliers and shifts. The standard leaves them to the compiler; these are MLIR's."""

from __future__ import annotations

from intsim.errors import OutOfDomain
from intsim.lowering.multipliers.normalized import normalized


def multiplier_and_shift(scale: float, multiplier_bits: int = 32) -> tuple[int, int]:
    """(multiplier, shift), shift to the RIGHT: scale is next to multiplier / 2**shift.

    m = half_away(fraction * 2**(multiplier_bits - 1)) of C's frexp; a shift above 62 becomes 62, m shifted right
    (floor) by the excess, 31 at most. Errors: OutOfDomain unless scale is positive, finite, and its shift at least 2.
    Source: llvm/llvm-project, mlir/lib/Dialect/Tosa/Utils/QuantUtils.cpp, computeMultiplierAndShift.
    """
    if multiplier_bits not in (16, 32):
        raise OutOfDomain(f"multiplier_bits must be 16 or 32, not {multiplier_bits!r}")
    multiplier, exponent = normalized(scale, multiplier_bits - 1)
    shift = multiplier_bits - 1 - exponent
    if shift < 2:
        raise OutOfDomain(f"a scale must be below 2**{multiplier_bits - 3}, for a shift of 2 or more, not {scale!r}")
    if shift > 62:
        return multiplier >> min(31, shift - 62), 62
    return multiplier, shift
