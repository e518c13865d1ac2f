"""The requantizer of LiteRT's reference FULLY_CONNECTED: accumulator to output code through float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.integers import Integers, add, along, as_integers, result
from intsim.spec.saturate import saturate


@standard_floats()
def requantize_tflite_float64(
    acc: npt.ArrayLike,
    *,
    multiplier: Any,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_away(float64(acc) * multiplier) + zero_point).

    acc: int32[N, C, ...]. multiplier: positive float64, scalar or [C] along `axis`; the product is rounded to float64
    once, then to an integer. zero_point: int or [C]; bits (1 to 32), signed, narrow: the output format.
    Returns i64 of acc's shape. Raises OutOfDomain, also where the rounded product is no int32.
    Source: LiteRT 2.3 (PyPI ai-edge-litert), OpResolverType.BUILTIN_REF, FULLY_CONNECTED int8, by experiment; its
    multiplier is x_scale * w_scale / y_scale in float64, left to right (tests/targets/test_litert.py).
    """
    sums = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    checks.within(sums, *checks.INT32, "acc")
    zero = checks.channelwise(zero_point, axis, sums.shape, low, high, "zero_point")
    factors = along(np.asarray(multiplier, np.float64), axis, sums.shape, "multiplier")
    good = np.isfinite(factors) & (factors > 0)
    if not good.all():
        raise OutOfDomain(f"multiplier must be positive and finite, not {float(factors[~good].flat[0])!r}")
    product = sums.astype(np.float64) * factors
    whole = np.copysign(np.floor(np.abs(product)) + (np.abs(product) % 1 >= 0.5), product)
    scaled = result(np.clip(whole, -(2.0**40), 2.0**40).astype(np.int64))
    checks.within(scaled, *checks.INT32, "the rounded product")
    return saturate(add(scaled, zero), bits, signed, narrow)
