"""QONNX's Quant: reals to codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import code_range, reals, scales
from intsim.spec.integers import Integers

ROUNDING_MODES = {
    "ROUND": "half_even",
    "HALF_EVEN": "half_even",
    "CEIL": "ceil",
    "FLOOR": "floor",
    "UP": "away_from_zero",
    "DOWN": "toward_zero",
    "HALF_UP": "half_away",
    "HALF_DOWN": "half_to_zero",
}
"""QONNX's names of rounding modes, in upper case, and this project's. Its HALF_UP is half AWAY from zero."""


@standard_floats()
def quantize_qonnx(
    r: npt.ArrayLike,
    *,
    scale: Any,
    zero_point: npt.ArrayLike = 0,
    rounding_mode: str = "ROUND",
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Codes: round(clip(float32(r / scale) + zero_point)): the zero point comes BEFORE the rounding.

    Quotient and sum are each rounded to float32; the halves of HALF_UP and HALF_DOWN are added in float32 too, so
    that 0.5 - 2**-25 goes up to 1 there. narrow leaves out the lowest signed code, or the highest unsigned one.
    r: f32[N, C, ...], finite. scale: positive float32, scalar or [C] along `axis`; zero_point: int or [C].
    rounding_mode: a key of ROUNDING_MODES, in any case. bits: 2 to 16, or one unsigned (of one signed bit the source
    makes -1 and 1, and 1 is no code of that format). Returns i64 of r's shape. Raises OutOfDomain.
    QONNX's Trunc (version 2) of codes is `requantize` with rounding=ROUNDING_MODES[mode], FLOOR if none is given.
    Source: fastmachinelearning/qonnx, src/qonnx/custom_op/general/intquant.py, int_quant,
    resolve_rounding_mode, min_int and max_int; trunc.py.
    """
    values = reals(r, "r")
    if not np.isfinite(values).all():
        raise OutOfDomain("r must be finite")
    mode = checks.one_of(str(rounding_mode).upper(), tuple(ROUNDING_MODES), "rounding_mode")
    low, high = code_range(checks.integer(bits, 1 + bool(signed), 16, "bits"), signed, False)
    if narrow:
        low, high = (low + 1, high) if signed else (low, high - 1)
    zero = checks.channelwise(zero_point, axis, values.shape, low, high, "zero_point")
    with np.errstate(over="ignore", under="ignore"):
        shifted = values / scales(scale, axis, values.shape, "scale") + zero.astype(np.float32)
    clipped = np.clip(shifted, np.float32(low), np.float32(high))
    return np.asarray(_round(clipped, mode).astype(np.int64))


def _round(x: npt.NDArray[np.float32], mode: str) -> npt.NDArray[np.float32]:
    half, size = np.float32(0.5), np.abs(x)
    return np.asarray(
        {
            "half_even": np.rint(x),
            "ceil": np.ceil(x),
            "floor": np.floor(x),
            "away_from_zero": np.copysign(np.ceil(size), x),
            "toward_zero": np.trunc(x),
            "half_away": np.copysign(np.floor(size + half), x),
            "half_to_zero": np.copysign(np.ceil(size - half), x),
        }[ROUNDING_MODES[mode]]
    )
