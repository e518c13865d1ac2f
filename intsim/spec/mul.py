"""Multiplication of codes whose scales are powers of two."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec.integers import Integers, multiply
from intsim.spec.operands import broadcastable, centred
from intsim.spec.requantize import requantize


def mul(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_zero: int = 0,
    b_zero: int = 0,
    shift: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round((a - a_zero) * (b - b_zero) / 2**shift) + zero_point).

    a, b: int[...], broadcast as in NumPy. shift, rounding, zero_point, bits, signed, narrow: as in `requantize`.
    Returns i64. Raises OutOfDomain.
    Source: paper section "DiffQuant", the shift requantizer (19) applied to the exact product.
    """
    left, right = centred(a, a_zero, "a"), centred(b, b_zero, "b")
    broadcastable(left, right)
    return requantize(
        multiply(left, right),
        shift=shift,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
    )
