from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.errors import OutOfDomain
from intsim.quantization.exponents import (
    best_exponent,
    candidate_exponents,
    check_exponent,
    quantize,
    reference_exponent,
)

BITS = st.sampled_from([2, 3, 4, 6, 7, 8, 12, 16])
POSITIVE = st.floats(min_value=2.0**-100, max_value=2.0**100, width=32, exclude_min=True)
REALS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**40), max_value=2.0**40)


def floor_log2(ratio: Fraction) -> int:
    """floor(log2(ratio)) by counting, in exact arithmetic."""
    power = 0
    while Fraction(2) ** power > ratio:
        power -= 1
    while Fraction(2) ** (power + 1) <= ratio:
        power += 1
    return power


@given(POSITIVE, BITS)
def test_reference_is_the_formula_in_exact_arithmetic(largest: float, bits: int) -> None:
    high = 2 ** (bits - 1) - 1
    assert reference_exponent(largest, bits) == -floor_log2(high / Fraction(largest))


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("exponent", [-20, -1, 0, 5])
def test_reference_at_the_edge_of_the_range(bits: int, exponent: int) -> None:
    edge = math.ldexp(2 ** (bits - 1) - 1, exponent)
    assert reference_exponent(edge, bits) == exponent
    assert reference_exponent(math.nextafter(edge, math.inf), bits) == exponent + 1
    assert reference_exponent(math.nextafter(edge, 0.0), bits) == exponent


def test_reference_by_hand() -> None:
    assert reference_exponent(0.0, 8) == 0  # an all-zero tensor
    assert reference_exponent(127.0, 8) == 0
    assert reference_exponent(1.0, 8) == -6  # 127 / 1 -> 2**6
    assert reference_exponent(1.0, 2) == 0  # the highest code is 1
    assert reference_exponent(5e-324, 8) == -1080  # the smallest float64: no logarithm is taken


@pytest.mark.parametrize("largest", [-1.0, math.inf, math.nan])
def test_reference_refuses_what_is_no_magnitude(largest: float) -> None:
    with pytest.raises(OutOfDomain, match="finite and not negative"):
        reference_exponent(largest, 8)


def test_candidates_ascend_around_the_reference() -> None:
    assert list(candidate_exponents(-6)) == [-9, -8, -7, -6, -5, -4, -3]


def test_the_smaller_exponent_wins_a_tie() -> None:
    assert best_exponent({3: 1.0, -2: 1.0, 0: 1.0, 5: 2.0}) == -2
    assert best_exponent({-2: 1.5, 0: 1.0, 5: 1.0}) == 0


@given(REALS, st.integers(-30, 30), BITS)
def test_quantize_is_half_up_of_the_exact_quotient(real: float, exponent: int, bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    expected = min(max(math.floor(Fraction(real) / Fraction(2) ** exponent + Fraction(1, 2)), low), high)
    assert quantize(np.array([real], np.float32), exponent, bits).tolist() == [expected]


def test_quantize_at_ties_and_just_beside_them() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0.0))  # below + 0.5 rounds to 1.0 in float32
    reals = np.array([0.5, 1.5, -0.5, -1.5, below, -np.nextafter(np.float32(0.5), np.float32(1.0))], np.float32)
    assert quantize(reals, 0, 8).tolist() == [1, 2, 0, -1, 0, -1]


def test_quantize_saturates_in_the_smallest_dtype() -> None:
    codes = quantize(np.array([1e30, -1e30, 127.4, 127.5, -128.5], np.float32), 0, 8)
    assert codes.dtype == np.int8
    assert codes.tolist() == [127, -128, 127, 127, -128]
    assert quantize(np.array([9.0, -9.0], np.float32), 0, 4).tolist() == [7, -8]
    assert quantize(np.array([1.0], np.float32), -15, 16).dtype == np.int16


def test_an_exponent_that_float32_cannot_scale_by() -> None:
    assert check_exponent(-126, "x") == -126
    with pytest.raises(OutOfDomain, match="tensor 'x': values so small"):
        check_exponent(-127, "x")
    with pytest.raises(OutOfDomain, match="tensor 'x': values so large"):
        check_exponent(128, "x")
