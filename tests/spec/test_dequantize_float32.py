from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnx_reference
from tests.spec.second import float32

SCALES = st.floats(width=32, min_value=2.0**-149, max_value=2.0**127)


@given(x=st.integers(-(2**63), 2**63 - 1), zero=st.integers(-(2**31), 2**31), scale=SCALES)
def test_two_roundings(x: int, zero: int, scale: float) -> None:
    if not -(2**63) <= x - zero < 2**63:
        return
    expected = float32(Fraction(float(float32(Fraction(x - zero)))) * Fraction(scale))
    got = spec.dequantize_float32(x, scale=scale, zero_point=zero)
    assert got.dtype == np.float32
    assert float(got) == float(expected)


def test_integers_beyond_24_bits_round_to_even() -> None:
    x = np.array([2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**53 + 2**29 + 1])
    expected = [2.0**24, 2.0**24 + 4, -(2.0**24), 2.0**53 + 2.0**30]  # the last: through float64 it would be a tie
    assert spec.dequantize_float32(x, scale=1.0).tolist() == expected


def test_as_onnx_says_per_channel() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (2, 3, 4)).astype(np.int8)
    for axis, channels in ((0, 2), (1, 3), (-1, 4)):
        scale = rng.uniform(0.01, 0.1, channels).astype(np.float32)
        zero = rng.integers(-20, 20, channels).astype(np.int8)
        got = spec.dequantize_float32(x, scale=scale, zero_point=zero, axis=axis)
        assert np.array_equal(got, onnx_reference("DequantizeLinear", [x, scale, zero], axis=axis))
        wrong = spec.dequantize_float32(x, scale=scale[0], zero_point=zero[0])
        assert not np.array_equal(got, wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones(3)}, "x must hold integers, not float64"),
        ({"x": 2**64}, "x - zero_point must fit in int64"),
        ({"scale": 0}, "scale must be positive and finite, not 0.0"),
        ({"x": np.ones((2, 3), int), "scale": np.ones(2, np.float32)}, "scale must have 1 or 3 elements, not 2"),
        ({"zero_point": 1.5}, "zero_point must hold integers, not 1.5"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.dequantize_float32(**{"x": 1, "scale": 1.0, **changes})
