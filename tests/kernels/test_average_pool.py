from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.formats import ROUNDINGS
from intsim.kernels.fma import fma
from tests.kernels.compare import assert_same, codes, f32, kernel_of
from tests.kernels.windows import HAND_PICKED, PLAIN, random_windows

SHIFT: dict[str, Any] = {"shift": 0, "rounding": "half_up", "bits": 8, "signed": True}
FLOAT: dict[str, Any] = {"x_scale": np.float32(0.0173), "scale": np.float32(0.0129), "bits": 8, "signed": True}


@pytest.mark.nojit
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize(("image", "changes"), HAND_PICKED)
def test_hand_picked(image: tuple[int, ...], changes: dict[str, Any], count_include_pad: bool) -> None:
    x = codes(np.random.default_rng(1), np.int8, (2, 2, *image))
    parameters = {**PLAIN, **changes, "count_include_pad": count_include_pad, "x_zero": -7, "zero_point": 3}
    assert_same("average_pool", x, **parameters, **SHIFT)
    assert_same("average_pool_float32", x, **parameters, **FLOAT)


@given(
    random_windows(),
    st.sampled_from([np.int8, np.uint8, np.int16, np.uint16]),
    st.sampled_from(ROUNDINGS),
    st.integers(-4, 9),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any(case: Any, dtype: Any, rounding: str, shift: int, count_include_pad: bool, seed: int) -> None:
    image, parameters = case
    x = codes(np.random.default_rng(seed), dtype, (2, 2, *image))
    parameters |= {"count_include_pad": count_include_pad, "x_zero": 5, "zero_point": 7, "bits": 8, "signed": False}
    assert_same("average_pool", x, **parameters, shift=shift, rounding=rounding)
    assert_same("average_pool_float32", x, **parameters, x_scale=np.float32(0.3), scale=np.float32(0.07))


def test_sums_are_not_contracted() -> None:
    """On windows where a fused multiply-add would give another code."""
    rng = np.random.default_rng(2)
    x_scale, different = np.float32(1 / 3), 0
    x = codes(rng, np.int8, (1, 2, 6, 3000))
    parameters = {**PLAIN, "kernel": (6, 1), "strides": (1, 1), "x_scale": x_scale}
    for scale in f32([1 / 4, 1 / 64, 1 / 3, 1 / 6]):
        assert_same("average_pool_float32", x, **parameters, scale=scale, bits=16, signed=True)
        got = kernel_of("average_pool_float32")(x, **parameters, scale=scale, bits=16, signed=True)
        for n, column in enumerate(x[0, 0].T):
            total = np.float32(0)
            for code in column:
                total = fma(x_scale, np.float32(code), total)
            different += np.rint(total / np.float32(6) / scale) != got[0, 0, 0, n]
    assert different > 0


def test_quotients_that_int64_does_not_hold_are_refused() -> None:
    x = np.zeros((1, 1, 4, 4), np.int8)
    for shift in (-56, 61):
        with pytest.raises(ValueError, match="may leave int64"):
            kernel_of("average_pool")(x, **PLAIN, **{**SHIFT, "shift": shift})
    for shift in (-52, 59):
        assert_same(
            "average_pool", codes(np.random.default_rng(3), np.int8, x.shape), **PLAIN, **{**SHIFT, "shift": shift}
        )
