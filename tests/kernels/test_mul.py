from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import ROUNDINGS
from tests.kernels.compare import assert_same, codes, kernel_of

I8 = np.arange(-128, 128, dtype=np.int8)
U8 = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-1, 0, 1, 7, 9])
def test_all_pairs_of_8_bits(rounding: str, shift: int) -> None:
    parameters = {"shift": shift, "rounding": rounding, "bits": 8}
    assert_same("mul", I8[:, None], I8, **parameters, signed=True, a_zero=-3, b_zero=9, zero_point=5)
    assert_same("mul", U8[:, None], I8, **parameters, signed=False, a_zero=128, b_zero=0, zero_point=100)


@pytest.mark.nojit
def test_tiny() -> None:
    for rounding in ROUNDINGS:
        parameters = {"shift": 6, "rounding": rounding, "bits": 8, "signed": True, "narrow": True}
        assert_same("mul", I8[::31].reshape(3, 3), I8[::90], **parameters, a_zero=1, b_zero=2, zero_point=3)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32])
def test_dtypes(dtype: Any) -> None:
    rng = np.random.default_rng(1)
    a, b = codes(rng, dtype, (2, 3, 4)), codes(rng, np.int16, (3, 1))
    parameters = {"rounding": "half_even", "a_zero": 12, "b_zero": -7, "zero_point": 1, "bits": 16}
    assert_same("mul", a, b, **parameters, shift=14, signed=True)


def test_products_that_int64_does_not_hold_are_refused() -> None:
    x = np.array([-(2**62)])
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("mul")(x, x, shift=0, rounding="floor", bits=8, signed=True)
