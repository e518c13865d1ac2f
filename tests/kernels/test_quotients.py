"""The kernels of the exact quotients, the sum and XNNPACK's mean, against their specs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.formats import ROUNDINGS
from tests.kernels.compare import assert_same, codes, kernel_of

I8 = np.arange(-128, 128, dtype=np.int8)
C8: dict[str, Any] = {"bits": 8, "signed": True}
IMAGES = codes(np.random.default_rng(8), np.int8, (2, 3, 7, 6))
WINDOW: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1), "dilations": (1, 2)}


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("a_factor", "b_factor", "divisor"), [(1, 1, 2), (13, -7, 22), (1048576, 524289, 1 << 20)])
def test_add_quotient_of_every_pair(rounding: str, a_factor: int, b_factor: int, divisor: int) -> None:
    factors = {"a_factor": a_factor, "b_factor": b_factor, "divisor": divisor, "rounding": rounding}
    assert_same("add_quotient", I8[:, None], I8, **factors, a_zero=3, b_zero=-128, zero_point=5, **C8)


@pytest.mark.nojit
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_tiny(rounding: str) -> None:
    assert_same("requantize_quotient", I8[::9], factor=3, divisor=10, rounding=rounding, zero_point=-5, **C8)
    assert_same("add_quotient", I8[::31], I8[::31], a_factor=3, b_factor=-2, divisor=10, rounding=rounding, **C8)
    x = IMAGES[:1, :1, :4, :4]
    window = {"kernel": (2, 2), "strides": (1, 1), "pads": (0, 1, 0, 0), "dilations": (1, 1)}
    assert_same("average_pool_quotient", x, **window, factor=5, divisor=6, rounding=rounding, **C8)
    assert_same("reduce_sum", x, axes=(2, 3), keepdims=True, x_zero=3)
    assert_same("reduce_mean_xnnpack", x, axes=(2, 3), keepdims=True, x_zero=3, multiplier=np.float32(0.04), **C8)


@given(
    dtype=st.sampled_from([np.int8, np.uint8, np.int16, np.int32]),
    factor=st.integers(1, 1 << 28),
    divisor=st.integers(1, 1 << 61),
    rounding=st.sampled_from(ROUNDINGS),
    form=st.sampled_from([(8, True, False), (8, False, False), (8, True, True), (16, True, False), (32, True, False)]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150)
def test_requantize_quotient(dtype: Any, factor: int, divisor: int, rounding: str, form: Any, seed: int) -> None:
    bits, signed, narrow = form
    x = codes(np.random.default_rng(seed), dtype, (3, 40))
    parameters = {"factor": factor, "divisor": divisor, "rounding": rounding, "zero_point": 7}
    assert_same("requantize_quotient", x, **parameters, bits=bits, signed=signed, narrow=narrow)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("include", [False, True])
def test_average_pool_quotient(rounding: str, include: bool) -> None:
    parameters = {"count_include_pad": include, "x_zero": 3, "factor": 63, "divisor": 64, "rounding": rounding}
    assert_same("average_pool_quotient", IMAGES, **WINDOW, **parameters, zero_point=4, **C8)


@pytest.mark.parametrize("axes", [(2, 3), (1,), (0, 3)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_and_means(axes: tuple[int, ...], keepdims: bool) -> None:
    assert_same("reduce_sum", IMAGES, axes=axes, keepdims=keepdims, x_zero=-9)
    for multiplier in (0.5, 0.013, 2.0**-30):
        scaled = {"multiplier": np.float32(multiplier), "x_zero": 100, "zero_point": -77}
        assert_same("reduce_mean_xnnpack", IMAGES, axes=axes, keepdims=keepdims, **scaled, **C8)


def test_what_int64_does_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("requantize_quotient")(I8, factor=1 << 56, divisor=1, rounding="half_up", **C8)
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("add_quotient")(I8, I8, a_factor=1 << 55, b_factor=1, divisor=1, rounding="half_up", **C8)
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("average_pool_quotient")(IMAGES, **WINDOW, factor=1 << 55, divisor=1, rounding="half_up", **C8)
    with pytest.raises(ValueError, match="the sum must be within"):
        kernel_of("reduce_sum")(np.array([[2**31 - 1, 1]]), axes=(1,), keepdims=False)
