"""XNNPACK's rndnu requantizer: accumulator to output code by the 24 bits of a float32's significand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, multiply, result
from intsim.spec.requantize_xnnpack_fp32 import bounded_scales
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


@standard_floats()
def requantize_xnnpack_rndnu(
    acc: npt.ArrayLike,
    *,
    multiplier: Any,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_up(acc * M / 2**n) + zero_point), where multiplier = M / 2**n and 2**23 <= M < 2**24.

    acc: int32[N, C, ...]. multiplier: float32, 2**-32 <= multiplier < 256, scalar or [C] along `axis`; so 16 <= n < 56.
    zero_point: int or [C]; bits (1 to 32), signed, narrow: the output format. Returns i64 of acc's shape.
    Raises OutOfDomain, also where the rounded product is no int32, to which the source converts it before the clamp.
    Source: google/XNNPACK, src/xnnpack/requantization.h, xnn_qs8_requantize_rndnu and xnn_qu8_requantize_rndnu.
    """
    sums = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    checks.within(sums, *checks.INT32, "acc")
    significand, exponent = np.frexp(bounded_scales(multiplier, axis, sums.shape))
    zero = checks.channelwise(zero_point, axis, sums.shape, low, high, "zero_point")
    m = result(np.ldexp(significand, 24).astype(np.int64))
    scaled = shift_right(multiply(sums, m), 24 - exponent.astype(np.int64), "half_up")
    checks.within(scaled, *checks.INT32, "the rounded product")
    return saturate(add(scaled, zero), bits, signed, narrow)
