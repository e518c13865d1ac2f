"""Reals to codes: one exact quotient, one rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import Float32, reals, scales
from intsim.spec.integers import Integers, add, result
from intsim.spec.rounding import divide
from intsim.spec.saturate import saturate


@standard_floats()
def quantize(
    r: npt.ArrayLike,
    *,
    scale: Any,
    zero_point: npt.ArrayLike = 0,
    rounding: str,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Codes: clip(round(r / scale) + zero_point), the exact quotient of two float32 values rounded once.

    r: f32[N, C, ...] (any rank), finite. scale: positive float32, scalar or [C] along `axis`; zero_point: int or [C].
    rounding: one of intsim.formats.ROUNDINGS; bits, signed, narrow: the output format. Returns i64 of r's shape.
    Raises OutOfDomain. Source: paper section "DiffQuant", (16) to (18), with rounding="half_up" and scale 2**e.
    """
    values = reals(r, "r")
    if not np.isfinite(values).all():
        raise OutOfDomain("r must be finite")
    low, high = checks.code_range(bits, signed, narrow)
    zero = checks.channelwise(zero_point, axis, values.shape, low, high, "zero_point")
    quotient = divide(*_fraction(values, scales(scale, axis, values.shape, "scale"), bits + 2), rounding)
    return saturate(add(quotient, zero), bits, signed, narrow)


def _fraction(r: Float32, scale: Float32, limit: int) -> tuple[Integers, Integers]:
    """Integers n, d > 0 that clip(round(n / d) + zero_point) as r / scale does, for results of limit - 2 bits.

    r / scale = (n / d) * 2**e with 2**23 <= |n|, d < 2**24, or n = 0. So from e = limit on, |r / scale| is above
    2**(limit - 1), and clips whatever the zero point is; to e = -limit, it is a fraction below 1/4, rounded by its
    sign alone. Exponents beyond change nothing and are cut off, which keeps the integers short.
    """
    n, n_exponent = np.frexp(r)
    d, d_exponent = np.frexp(scale)
    e = np.clip(n_exponent.astype(np.int64) - d_exponent, -limit, limit)
    dtype = np.int64 if 24 + limit <= 62 else object
    numerator, denominator = (np.ldexp(m, 24).astype(np.int64).astype(dtype) for m in (n, d))
    up, down = (np.asarray(2, dtype) ** np.maximum(s, 0) for s in (e, -e))
    return result(numerator * up), result(denominator * down)
