"""ONNX Runtime's QLinearGlobalAveragePool."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import clamp_round, code_range, factor, to_float32
from intsim.spec.integers import Integers, result
from intsim.spec.operands import centred
from intsim.spec.reduce import reduced_sum
from intsim.spec.saturate import wrap


@standard_floats()
def reduce_mean_float32(
    x: npt.ArrayLike,
    *,
    axes: tuple[int, ...],
    keepdims: bool,
    x_scale: Any,
    x_zero: int = 0,
    scale: Any,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: half_even(clamp(float32(total) * m, low - zero_point, high - zero_point)) + zero_point.

    total = sum over axes of (x - x_zero), wrapped to int32; m = x_scale / (scale * float32(n)), n elements in each
    sum, every step rounded to float32. x: int[...]. axes: distinct, may count from the end; keepdims: they stay, with
    length 1. x_scale, scale: positive float32. bits (at most 16), signed, narrow: the output format. Returns i64.
    Raises OutOfDomain, also for a sum of no elements.
    Source: ONNX Runtime, contrib_ops/cpu/quantization/qlinear_global_average_pool.cc.
    """
    total, count = reduced_sum(centred(x, x_zero, "x"), axes, keepdims)
    low, high = code_range(bits, signed, narrow)
    zero = result(checks.integer(zero_point, low, high, "zero_point"))
    with np.errstate(over="ignore", under="ignore"):
        m = factor(x_scale, "x_scale") / (factor(scale, "scale") * np.float32(count))
        return clamp_round(np.asarray(to_float32(wrap(total, 32, True), "total") * m), zero, low, high)
