"""A positive float as an integer of N bits and an exponent: where TFLite's and TOSA's derivations agree."""

from __future__ import annotations

import math
from fractions import Fraction

from intsim.errors import OutOfDomain
from intsim.formats import round_quotient


def normalized(scale: float, bits: int) -> tuple[int, int]:
    """Integers (m, e) with m * 2**(e - bits) next to scale: m = half_away(fraction * 2**bits), scale = fraction * 2**e.

    1/2 <= fraction < 1 (C's frexp); where m comes out as 2**bits it is halved and e grows by one, so that
    2**(bits - 1) <= m < 2**bits. Errors: OutOfDomain unless scale is positive and finite.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise OutOfDomain(f"a scale must be positive and finite, not {scale!r}")
    fraction, exponent = math.frexp(scale)
    m = round_quotient(*(Fraction(fraction) * (1 << bits)).as_integer_ratio(), "half_away")
    return (m // 2, exponent + 1) if m == 2**bits else (m, exponent)
