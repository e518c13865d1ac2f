"""ONNX Runtime's QLinearAdd."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import code_range, factor, round_saturate, to_float32
from intsim.spec.fma import fma
from intsim.spec.integers import INT64, Integers, as_integers, result
from intsim.spec.operands import broadcastable


@standard_floats()
def add_float32(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_ratio: Any,
    b_ratio: Any,
    a_zero: int = 0,
    b_zero: int = 0,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(half_even(fma(a, a_ratio, fma(b, b_ratio, k)))), on the raw codes a and b.

    k = float32(zero_point) - fma(a_ratio, a_zero, b_ratio * b_zero); every step is rounded to float32.
    a, b: int[...], broadcast; b is the operand that ONNX Runtime folds into the constant first (the scalar one, if
    there is one). a_ratio, b_ratio: float32, operand scale over output scale. bits (at most 16), signed, narrow: the
    output format. Returns i64. Raises OutOfDomain. Source: ONNX Runtime, MLAS qladd.cpp.
    """
    left, right = as_integers(a, "a"), as_integers(b, "b")
    broadcastable(left, right)
    low, high = code_range(bits, signed, narrow)
    ratio, other = factor(a_ratio, "a_ratio"), factor(b_ratio, "b_ratio")
    zeros = [
        to_float32(result(checks.integer(value, *limits, name)), name)
        for value, limits, name in (
            (a_zero, INT64, "a_zero"),
            (b_zero, INT64, "b_zero"),
            (zero_point, (low, high), "zero_point"),
        )
    ]
    with np.errstate(over="ignore", under="ignore"):
        constant = np.asarray(zeros[2] - fma(ratio, zeros[0], np.asarray(other * zeros[1])))
        inner = fma(to_float32(right, "b"), other, constant)
        return round_saturate(fma(to_float32(left, "a"), ratio, inner), low, high)
