from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import cases
from tests.kernels.compare import assert_same, f32, kernel_of

C8: dict[str, Any] = {"bits": 8, "signed": True}


@pytest.mark.nojit
@pytest.mark.parametrize("zero_point", [-128, -3, 0, 127])
@pytest.mark.parametrize("multiplier", [0.5, 0.25, 1 / 64])
def test_ties(multiplier: float, zero_point: int) -> None:
    acc = np.arange(-600, 600, 7 if multiplier > 0.4 else 1, dtype=np.int32)
    ties = acc * multiplier % 1 == 0.5
    assert ties.sum() > 10
    assert_same("requantize_float32", acc, multiplier=np.float32(multiplier), zero_point=zero_point, **C8)


def test_ties_of_every_output_code() -> None:
    for multiplier in f32([0.0125, 0.003, 1 / 3, 7e-5]):
        acc = np.array([cases.multiplier_ties(float(multiplier), -200, 200)], np.int32)
        assert_same("requantize_float32", acc, multiplier=multiplier, zero_point=-5, **C8)


@pytest.mark.parametrize(
    ("bits", "signed", "narrow"),
    [(8, True, False), (8, False, False), (8, True, True), (16, False, False), (4, True, False)],
)
def test_a_million_random_accumulators(bits: int, signed: bool, narrow: bool) -> None:
    rng = np.random.default_rng(1)
    acc = rng.integers(-(2**31), 2**31, (1, 1000, 1000)).astype(np.int32) >> rng.integers(0, 31, (1, 1000, 1))
    multiplier = f32(np.exp2(rng.uniform(-24, 1, 1000)))
    parameters = {"bits": bits, "signed": signed, "narrow": narrow, "zero_point": 3}
    assert_same("requantize_float32", acc.astype(np.int32), multiplier=multiplier, **parameters)


def test_accumulators_that_float32_rounds() -> None:
    acc = np.array([*cases.integers(*cases.INT64), *cases.pair_sums(100, *cases.INT64, seed=0)])
    for multiplier in f32([2.0**-18, 2.0**-24, 1e-9, 2.0**-56]):
        assert_same("requantize_float32", acc, multiplier=multiplier, zero_point=0, **C8)


@pytest.mark.nojit
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_per_channel(axis: int) -> None:
    rng = np.random.default_rng(2)
    acc = rng.integers(-900, 900, (2, 3, 4)).astype(np.int32)
    multiplier = f32(rng.uniform(0.01, 0.5, acc.shape[axis]))
    zero_point = rng.integers(-9, 9, acc.shape[axis])
    for zero in (zero_point, 3):
        assert_same("requantize_float32", acc, multiplier=multiplier, zero_point=zero, axis=axis, **C8)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=5), st.floats(2.0**-60, 2.0**10, width=32))
def test_any(acc: list[int], multiplier: float) -> None:
    assert_same("requantize_float32", np.array(acc, np.int32), multiplier=np.float32(multiplier), zero_point=7, **C8)


def test_codes_that_float32_does_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 24 bits"):
        kernel_of("requantize_float32")(np.zeros(3, np.int32), multiplier=np.float32(1), bits=32, signed=True)
