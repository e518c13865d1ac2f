from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import ROUNDINGS
from tests.kernels.compare import assert_same, codes, f32, kernel_of

SHIFT: dict[str, Any] = {"shift": 0, "rounding": "half_up", "bits": 8, "signed": True}
FLOAT: dict[str, Any] = {"x_scale": np.float32(0.0173), "scale": np.float32(0.0129), "bits": 8, "signed": True}


@pytest.mark.nojit
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(2, 3), (3,), (1,), (-1, -2), (0, 2), (0, 1, 2, 3)])
def test_axes(axes: tuple[int, ...], keepdims: bool) -> None:
    x = codes(np.random.default_rng(1), np.int8, (2, 3, 3, 4))
    parameters = {"axes": axes, "keepdims": keepdims, "x_zero": -7, "zero_point": 3}
    assert_same("reduce_mean", x, **parameters, **SHIFT)
    assert_same("reduce_mean_float32", x, **parameters, **FLOAT)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 49, 64])
def test_dtypes_and_rules(dtype: Any, length: int) -> None:
    x = codes(np.random.default_rng(length), dtype, (4, 50, length)) >> np.arange(50)[None, :, None].astype(dtype) % 8
    parameters = {"axes": (2,), "keepdims": False, "x_zero": 3, "zero_point": 1, "bits": 8, "signed": False}
    for rounding in ROUNDINGS:
        for shift in (-2, 0, 1, 5):
            assert_same("reduce_mean", x, **parameters, shift=shift, rounding=rounding)
    for scale in f32([0.0129, 1 / 3, 0.25]):
        assert_same("reduce_mean_float32", x, **parameters, x_scale=np.float32(0.25), scale=scale)


def test_sums_that_leave_int32_wrap_in_float32() -> None:
    x = np.full((1, 4), 2**30, np.int32)
    parameters: dict[str, Any] = {"axes": (1,), "keepdims": True, "x_scale": np.float32(2.0**-24)}
    assert_same(
        "reduce_mean_float32", x + np.arange(4, dtype=np.int32), **parameters, scale=np.float32(1), bits=8, signed=True
    )


def test_quotients_that_int64_does_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("reduce_mean")(np.zeros((2, 4), np.int8), axes=(1,), keepdims=False, **{**SHIFT, "shift": 60})
