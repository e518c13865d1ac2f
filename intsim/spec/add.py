"""Addition of codes whose scales differ by powers of two."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec.integers import Integers
from intsim.spec.integers import add as plus
from intsim.spec.operands import aligned
from intsim.spec.requantize import requantize


def add(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_shift: int,
    b_shift: int,
    a_zero: int = 0,
    b_zero: int = 0,
    shift: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round((((a - a_zero) << a_shift) + ((b - b_zero) << b_shift)) / 2**shift) + zero_point).

    a, b: int[...], broadcast as in NumPy. a_shift, b_shift: 0 or more, they align the operands to one exponent.
    shift, rounding, zero_point, bits, signed, narrow: as in `requantize`. Returns i64. Raises OutOfDomain.
    Source: paper section "DiffQuant", the shift requantizer (19) applied to the exact aligned sum.
    """
    left, right = aligned(a, b, a_shift, b_shift, a_zero, b_zero)
    return requantize(
        plus(left, right),
        shift=shift,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
    )
