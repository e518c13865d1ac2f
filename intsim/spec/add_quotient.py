"""Addition of codes of any scales, with one exact quotient."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, add, multiply, result
from intsim.spec.operands import broadcastable, centred
from intsim.spec.requantize_quotient import requantize_quotient


def add_quotient(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_factor: int,
    b_factor: int,
    a_zero: int = 0,
    b_zero: int = 0,
    divisor: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round(((a - a_zero) * a_factor + (b - b_zero) * b_factor) / divisor) + zero_point).

    a, b: int[...], broadcast as in NumPy. a_factor, b_factor: integers (a negative one subtracts); divisor: positive.
    rounding, zero_point, bits, signed, narrow: as in `requantize_quotient`. Returns i64. Raises OutOfDomain.
    Source: google/XNNPACK, src/xnnpack/requantization.h and src/operators/binary-elementwise-nd.c, qs8 vadd, with
    rounding="half_up" and a power of two as divisor: its 20-bit factors. With the exact ratios of the scales it is the
    project's choice for targets that define no addition.
    """
    left, right = centred(a, a_zero, "a"), centred(b, b_zero, "b")
    broadcastable(left, right)
    total = add(
        multiply(left, result(checks.integer(a_factor, *INT64, "a_factor"))),
        multiply(right, result(checks.integer(b_factor, *INT64, "b_factor"))),
    )
    return requantize_quotient(
        total,
        factor=1,
        divisor=divisor,
        rounding=rounding,
        zero_point=zero_point,
        bits=bits,
        signed=signed,
        narrow=narrow,
    )
