"""XNNPACK's mean over axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import code_range, factor, round_saturate, to_float32
from intsim.spec.integers import INT64, Integers, as_integers
from intsim.spec.reduce import reduced_sum


@standard_floats()
def reduce_mean_xnnpack(
    x: npt.ArrayLike,
    *,
    axes: tuple[int, ...],
    keepdims: bool,
    x_zero: int = 0,
    multiplier: Any,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(half_even(float32(sum over axes of x) * multiplier + addend)): the zero point comes before.

    addend = zero_point - float32(n * x_zero) * multiplier, n elements in each sum. Every step is rounded to float32.
    x: int[...], raw codes. axes: distinct, may count from the end; keepdims: they stay, with length 1. multiplier:
    positive float32, float32(x_scale / scale) * float32(1 / n). bits (at most 16), signed, narrow: the output format.
    Returns i64. Raises OutOfDomain, also for a sum of no elements.
    Source: LiteRT 2.3 (PyPI ai-edge-litert), its XNNPACK kernels, MEAN int8; by experiment, see
    tests/targets/test_litert_lowered.py.
    """
    total, count = reduced_sum(as_integers(x, "x"), axes, keepdims)
    low, high = code_range(bits, signed, narrow)
    m = factor(multiplier, "multiplier")
    offset = np.float32(count * checks.integer(x_zero, *INT64, "x_zero"))
    addend = np.float32(checks.integer(zero_point, low, high, "zero_point")) - offset * m
    return round_saturate(np.asarray(to_float32(total, "the sum") * m + addend), low, high)
