"""LeakyRelu and PRelu of an accumulator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, as_integers, multiply, result
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def leaky_relu(
    x: npt.ArrayLike, *, slope: npt.ArrayLike, shift: int, rounding: str, width: int, axis: int = 1
) -> Integers:
    """x where x >= 0, else round(x * slope / 2**shift); both clipped to the accumulator's bits.

    x: i64[N, C, ...] (or object). slope: int32, scalar or [C] along `axis`; shift: 0 to 24, its fraction bits.
    Returns i64 of x's shape. Raises OutOfDomain.
    Source: the project's choice of a PReLU before requantization; NVDLA's SDP has its PReLU multiplier there
    (nvdla/hw, cmod/hls/sdp), with scales of its own.
    """
    values = as_integers(x, "x")
    slopes = checks.channelwise(slope, axis, values.shape, *checks.INT32, "slope")
    amount = result(checks.integer(shift, 0, 24, "shift"))
    below = shift_right(multiply(values, slopes), amount, rounding)
    return saturate(np.where(values >= 0, values, below), width, True)
