"""Addition of packed codes in float32, as ONNX Runtime's QLinearAdd does it."""

from __future__ import annotations

from typing import Any

from intsim.kernels.packed.ops import pairs
from intsim.kernels.packed.ops.pairs import NUMBERS


def make(isa: int, count: int, vectors: int) -> Any:
    """The cfunc of add_float32: the walk, its units and its columns are those of `pairs.make`.

    stored = clamp(half_even(fma(a - ZERO_A, FACTOR_A, fma(b - ZERO_B, FACTOR_B, START)))) + OFFSET on stored bytes a
    and b. ZERO_A, ZERO_B: 128 for signed formats, else 0, for the formula takes codes. FACTOR_A, FACTOR_B: float32,
    a scale over the output scale. START: float32(zero_point) - fma(a_ratio, a_zero, b_ratio * b_zero), rounded to
    float32 at each step. LOW, HIGH: float32, the lowest and the highest code that come out.
    Source: ONNX Runtime, MLAS qladd.cpp.
    """
    return pairs.make(NUMBERS["add_float32"], 0, isa, count, vectors)


def fits(a_ratio: float, b_ratio: float, start: float) -> bool:
    """Whether each sum is below 2**31, from where on ONNX Runtime's rounding gives the lowest code."""
    return 255 * (a_ratio + b_ratio) + abs(start) < 2.0**30
