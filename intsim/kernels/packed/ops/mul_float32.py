"""Multiplication of packed codes with a float32 requantizer, as ONNX Runtime's QLinearMul does it."""

from __future__ import annotations

from typing import Any

from intsim.kernels.packed.ops import pairs
from intsim.kernels.packed.ops.pairs import NUMBERS


def make(isa: int, count: int, vectors: int) -> Any:
    """The cfunc of mul_float32: the walk, its units and its columns are those of `pairs.make`.

    stored = clamp(half_even(float32((a - ZERO_A) * (b - ZERO_B)) * FACTOR_A + START)) + OFFSET on stored bytes a and b;
    product and sum are rounded to float32 one after the other. ZERO_A, ZERO_B: the stored zero points. FACTOR_A:
    float32, a_scale * b_scale over the output scale. START: float32(zero_point). LOW, HIGH: float32, the lowest and
    the highest code that come out. Source: ONNX Runtime, MLAS qlmul.cpp.
    """
    return pairs.make(NUMBERS["mul_float32"], 0, isa, count, vectors)


def fits(ratio: float, zero_point: int) -> bool:
    """Whether each result is below 2**31, from where on ONNX Runtime's rounding gives the lowest code."""
    return 255 * 255 * ratio + abs(zero_point) < 2.0**30
