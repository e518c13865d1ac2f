"""The requantizer of ONNX's ReferenceEvaluator: accumulator to output code through float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import scales
from intsim.spec.integers import Integers, as_integers


@standard_floats()
def requantize_onnx_reference(
    acc: npt.ArrayLike,
    *,
    multiplier: Any,
    zero_point: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: half_even(clip(float64(acc) * multiplier + zero_point)): the zero point comes BEFORE the tie rule.

    acc: int32[N, C, ...]. multiplier: positive float32, scalar or [C] along `axis`; product and sum are each rounded to
    float64. zero_point: int or [C]; bits (1 to 32), signed, narrow: the output format. Returns i64 of acc's shape.
    Raises OutOfDomain. Source: onnx/onnx, onnx/reference/ops/op_qlinear_conv.py and op_qlinear_matmul.py:
    res * (x_scale * w_scale / y_scale), where res is int32, the scales are float32 arrays, and NumPy therefore
    multiplies in float64; then + y_zero_point, clip, round (np.rint before clip in the matmul, which is the same).
    """
    sums = as_integers(acc, "acc")
    low, high = checks.requantized_range(bits, signed, narrow)
    checks.within(sums, *checks.INT32, "acc")
    zero = checks.channelwise(zero_point, axis, sums.shape, low, high, "zero_point")
    factors = scales(multiplier, axis, sums.shape, "multiplier").astype(np.float64)
    shifted = sums.astype(np.float64) * factors + zero.astype(np.float64)
    return np.asarray(np.rint(np.clip(shifted, low, high)).astype(np.int64))
