"""ONNX Runtime's QLinearMul."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import code_range, factor, round_saturate, to_float32
from intsim.spec.integers import Integers, multiply
from intsim.spec.operands import broadcastable, centred


@standard_floats()
def mul_float32(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    ratio: Any,
    a_zero: int = 0,
    b_zero: int = 0,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(half_even(float32((a - a_zero) * (b - b_zero)) * ratio + zero_point)).

    The product of the codes is exact; the three float32 steps are each rounded, with no fma; the zero point is added
    before the last rounding. a, b: int[...], broadcast. ratio: float32, a_scale * b_scale over the output scale.
    bits (at most 16), signed, narrow: the output format. Returns i64. Raises OutOfDomain.
    Source: ONNX Runtime, MLAS qlmul.cpp.
    """
    left, right = centred(a, a_zero, "a"), centred(b, b_zero, "b")
    broadcastable(left, right)
    low, high = code_range(bits, signed, narrow)
    zero = np.float32(checks.integer(zero_point, low, high, "zero_point"))
    with np.errstate(over="ignore", under="ignore"):
        scaled = to_float32(multiply(left, right), "a * b") * factor(ratio, "ratio")
        return round_saturate(np.asarray(scaled + zero), low, high)
