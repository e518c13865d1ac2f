from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.formats import ROUNDINGS
from tests import cases
from tests.kernels.compare import assert_same, f32, kernel_of

SCALES = f32([1, 0.125, 2.0**-20, 4, 0.1, 1 / 3, 0.0173, 255, 1e-30, 2.0**-140, 2.0**120])


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scale", SCALES)
def test_ties_of_every_code(scale: np.float32, rounding: str) -> None:
    r = cases.half_steps(float(scale), -140, 140)
    for zero_point, signed, narrow in ((0, True, False), (-3, True, True), (128, False, False)):
        parameters = {"zero_point": zero_point, "signed": signed, "narrow": narrow, "bits": 8}
        assert_same("quantize", r, scale=scale, rounding=rounding, **parameters)
        if rounding == "half_even":
            assert_same("quantize_float32", r, scale=scale, **parameters)


def test_the_exact_quotient_is_not_the_float32_quotient() -> None:
    scale = np.float32(0.1)
    r = cases.half_steps(float(scale), -128, 128)
    exact = kernel_of("quantize")(r, scale=scale, zero_point=0, rounding="half_even", bits=8, signed=True)
    single = kernel_of("quantize_float32")(r, scale=scale, zero_point=0, bits=8, signed=True)
    assert (exact != single).any()
    rounded = [round(Fraction(float(v)) / Fraction(float(scale))) for v in r]
    assert list(exact) == [min(max(code, -128), 127) for code in rounded]


@pytest.mark.nojit
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_tiny(rounding: str) -> None:
    r = f32([-3.5, -2.5, -0.5, -0.1, 0, 0.1, 0.5, 1.5, 2.49, 100]).reshape(2, 5)
    assert_same("quantize", r, scale=np.float32(1), zero_point=1, rounding=rounding, bits=4, signed=True)
    assert_same("quantize_float32", r, scale=np.float32(0.3), zero_point=1, bits=4, signed=True)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_ends_of_float32(rounding: str) -> None:
    info = np.finfo(np.float32)
    ends: list[Any] = [0.0, -0.0, info.smallest_subnormal, info.tiny, info.max, 1.0, 3 * info.smallest_subnormal]
    r = f32([s * v for v in ends for s in (1, -1)])
    for scale in f32([info.smallest_subnormal, info.tiny, 1, info.max, 3 * info.smallest_subnormal]):
        for bits in (2, 8, 16, 32):
            assert_same("quantize", r, scale=scale, zero_point=1, rounding=rounding, bits=bits, signed=True)


@pytest.mark.nojit
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_per_channel(axis: int) -> None:
    rng = np.random.default_rng(1)
    r = rng.normal(0, 3, (2, 3, 4)).astype(np.float32)
    scale = f32(rng.uniform(0.01, 0.5, r.shape[axis]))
    zero_point = rng.integers(-9, 9, r.shape[axis])
    parameters: dict[str, Any] = {"scale": scale, "zero_point": zero_point, "axis": axis, "bits": 8, "signed": True}
    assert_same("quantize", r, rounding="half_up", **parameters)
    assert_same("quantize_float32", r, **parameters)


@given(
    r=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=6),
    scale=st.floats(2.0**-149, 2.0**127, width=32, exclude_min=False),
    rounding=st.sampled_from(ROUNDINGS),
    bits=st.sampled_from([1, 2, 4, 8, 16, 31, 32]),
)
@settings(max_examples=300)
def test_any(r: list[float], scale: float, rounding: str, bits: int) -> None:
    parameters: dict[str, Any] = {"scale": np.float32(scale), "zero_point": 0, "bits": bits, "signed": True}
    assert_same("quantize", f32(r), rounding=rounding, **parameters)
    if bits <= 16:
        assert_same("quantize_float32", f32(r), **parameters)


def test_a_million_random_reals() -> None:
    r = np.random.default_rng(2).normal(0, 2, (10, 100, 1000)).astype(np.float32)
    parameters: dict[str, Any] = {"scale": np.float32(0.0173), "zero_point": 9, "bits": 8, "signed": True}
    assert_same("quantize", r, rounding="half_up", **parameters)
    assert_same("quantize_float32", r, **parameters)


def test_too_many_bits_are_refused() -> None:
    r = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="at most 32 bits"):
        kernel_of("quantize")(r, scale=1.0, zero_point=0, rounding="floor", bits=33, signed=True)
    with pytest.raises(ValueError, match="at most 24 bits"):
        kernel_of("quantize_float32")(r, scale=1.0, zero_point=0, bits=32, signed=True)
