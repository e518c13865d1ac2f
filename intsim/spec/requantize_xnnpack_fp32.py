"""XNNPACK's fp32 requantizer: accumulator to output code through float32."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import Float32, scales
from intsim.spec.integers import Integers, as_integers
from intsim.spec.requantize_float32 import requantize_float32


@standard_floats()
def requantize_xnnpack_fp32(
    acc: npt.ArrayLike,
    *,
    multiplier: Any,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: half_even(clamp(float32(acc) * multiplier, low - zero_point, high - zero_point)) + zero_point.

    acc: int32[N, C, ...]. multiplier: float32, 2**-32 <= multiplier < 256, scalar or [C] along `axis`; the conversion
    and the product are each rounded to float32. zero_point: int or [C]; bits (at most 16), signed, narrow: the output
    format. Returns i64 of acc's shape. Raises OutOfDomain.
    Source: google/XNNPACK, src/xnnpack/requantization.h, xnn_qs8_requantize_fp32 and xnn_qu8_requantize_fp32, whose
    asserts bound the multiplier.
    """
    sums = as_integers(acc, "acc")
    checks.within(sums, *checks.INT32, "acc")
    factors = bounded_scales(multiplier, axis, sums.shape)
    return requantize_float32(
        sums, multiplier=factors, zero_point=zero_point, bits=bits, signed=signed, narrow=narrow, axis=axis
    )


def bounded_scales(multiplier: Any, axis: int, shape: tuple[int, ...]) -> Float32:
    """The multiplier as float32 that broadcast against `shape`. Raises OutOfDomain outside XNNPACK's bounds."""
    factors = scales(multiplier, axis, shape, "multiplier")
    bad = (factors < 2.0**-32) | (factors >= 256)
    if bad.any():
        raise OutOfDomain(f"multiplier must be at least 2**-32 and below 256, not {float(factors[bad].flat[0])!r}")
    return factors
