from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.kernels.fma import fma
from tests.kernels.compare import assert_same, codes, kernel_of

I8 = np.arange(-128, 128, dtype=np.int8)
U8 = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize("ratio", [1 / 128, 0.013, 1 / 3, 2.0**-15, 1.0])
@pytest.mark.parametrize("zeros", [(0, 0, 0), (-3, 9, 5), (-128, 127, -128)])
def test_all_pairs_of_8_bits(ratio: float, zeros: tuple[int, int, int]) -> None:
    parameters: dict[str, Any] = dict(zip(("a_zero", "b_zero", "zero_point"), zeros, strict=True))
    assert_same("mul_float32", I8[:, None], I8, ratio=np.float32(ratio), **parameters, bits=8, signed=True)


def test_unsigned_and_narrow() -> None:
    parameters: dict[str, Any] = {"ratio": np.float32(0.009), "bits": 8, "a_zero": 100, "b_zero": 20}
    assert_same("mul_float32", U8[:, None], U8, **parameters, zero_point=128, signed=False)
    assert_same("mul_float32", U8[:, None], U8, **parameters, zero_point=1, signed=True, narrow=True)


def test_product_and_sum_are_not_contracted() -> None:
    """On ratios where the product's rounding makes a tie with the zero point that a fused sum would not see."""
    zero, different = np.float32(100), 0
    for product in range(-127, 0, 3):
        nearest = np.float32(-98.5 / product)
        for ratio in (nearest, np.nextafter(nearest, np.float32(0)), np.nextafter(nearest, np.float32(9))):
            a, b = np.array([product], np.int8), np.array([1], np.int8)
            code = kernel_of("mul_float32")(a, b, ratio=ratio, zero_point=100, bits=8, signed=True)[0]
            assert code == np.rint(np.float32(product) * ratio + zero)
            different += code != np.rint(fma(np.float32(product), ratio, zero))
    assert different > 0


@pytest.mark.nojit
def test_tiny() -> None:
    parameters: dict[str, Any] = {"ratio": np.float32(0.01), "bits": 8, "signed": True}
    assert_same("mul_float32", I8[::31].reshape(3, 3), I8[::90], **parameters, a_zero=4, b_zero=-4, zero_point=1)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32])
def test_dtypes(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    a, b = codes(rng, dtype, (2, 3, 4)), codes(rng, np.uint16, (3, 1))
    parameters: dict[str, Any] = {"ratio": np.float32(3e-6), "bits": 16, "signed": True}
    assert_same("mul_float32", a, b, **parameters, a_zero=3, b_zero=7, zero_point=-9)


@pytest.mark.parametrize("ratio", [1e6, 2e7, 1e9, 1e12])
def test_results_beyond_int32(ratio: float) -> None:
    assert_same("mul_float32", I8, np.int8(1), ratio=np.float32(ratio), bits=8, signed=True)
