from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.formats import ROUNDINGS
from tests import cases
from tests.kernels.compare import assert_same, kernel_of

EDGES = np.array(cases.integers(*cases.INT64))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-9, -1, 0, 1, 2, 3, 5, 8, 11, 12, 13, 40])
def test_all_accumulators_of_12_bits(rounding: str, shift: int) -> None:
    acc = np.arange(-2048, 2048, dtype=np.int32)
    for bits, signed, narrow, zero_point in ((8, True, False, 0), (8, True, True, -5), (4, False, False, 7)):
        assert_same(
            "requantize",
            acc,
            shift=shift,
            rounding=rounding,
            zero_point=zero_point,
            bits=bits,
            signed=signed,
            narrow=narrow,
        )


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_12_bit_accumulator_shift_and_width(rounding: str) -> None:
    acc = np.arange(-2048, 2048, dtype=np.int32)
    for shift in range(-3, 15):
        for bits in range(2, 9):
            for signed in (True, False):
                assert_same("requantize", acc, shift=shift, rounding=rounding, bits=bits, signed=signed)


@pytest.mark.nojit
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_tiny(rounding: str) -> None:
    acc = np.arange(-20, 20, dtype=np.int32).reshape(1, 2, 20)
    for shift in (-2, 0, 3):
        assert_same("requantize", acc, shift=shift, rounding=rounding, zero_point=1, bits=4, signed=True)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-200, -64, -63, -62, -3, 0, 1, 61, 62, 63, 64, 65, 200])
def test_accumulators_and_shifts_at_the_ends_of_int64(rounding: str, shift: int) -> None:
    for bits, signed, zero_point in ((8, True, 0), (64, True, -(2**63)), (64, True, 2**63 - 1), (63, False, 9)):
        assert_same(
            "requantize",
            EDGES,
            shift=shift,
            rounding=rounding,
            zero_point=zero_point,
            bits=bits,
            signed=signed,
        )


@pytest.mark.nojit
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_shifts_and_zero_points_per_channel(axis: int) -> None:
    rng = np.random.default_rng(1)
    acc = rng.integers(-(2**12), 2**12, (2, 3, 4)).astype(np.int32)
    shift, zero_point = rng.integers(-2, 9, acc.shape[axis]), rng.integers(-9, 9, acc.shape[axis])
    for zero in (zero_point, 3):
        assert_same(
            "requantize",
            acc,
            shift=shift,
            rounding="half_even",
            zero_point=zero,
            bits=8,
            signed=True,
            axis=axis,
        )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
@pytest.mark.parametrize(("bits", "signed"), [(2, True), (8, False), (12, True), (16, False), (32, True), (40, False)])
def test_dtypes(dtype: Any, bits: int, signed: bool) -> None:
    high = min(int(np.iinfo(dtype).max), 2**63 - 1)
    acc = np.random.default_rng(2).integers(np.iinfo(dtype).min, high, (3, 5), dtype=dtype, endpoint=True)
    assert_same("requantize", acc, shift=3, rounding="half_up", bits=bits, signed=signed)


@given(
    acc=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8),
    shift=st.integers(-70, 130),
    rounding=st.sampled_from(ROUNDINGS),
    bits=st.integers(1, 63),
    signed=st.booleans(),
    narrow=st.booleans(),
    zero=st.floats(0, 1),
)
@settings(max_examples=300)
def test_any_width(
    acc: list[int], shift: int, rounding: str, bits: int, signed: bool, narrow: bool, zero: float
) -> None:
    narrow = narrow and signed and bits > 1
    low, high = (-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert_same(
        "requantize",
        np.array(acc, np.int64),
        shift=shift,
        rounding=rounding,
        zero_point=min(max(low, low + int(zero * (high - low))), high),
        bits=bits,
        signed=signed,
        narrow=narrow,
    )


def test_codes_that_int64_does_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="63 unsigned bits"):
        kernel_of("requantize")(EDGES, shift=0, rounding="floor", bits=64, signed=False)
    with pytest.raises(ValueError, match="uint64"):
        kernel_of("requantize")(np.array([2**63], np.uint64), shift=0, rounding="floor", bits=8, signed=True)
