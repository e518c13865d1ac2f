from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.compare import assert_same, codes, f32


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
def test_dtypes(dtype: Any) -> None:
    x = codes(np.random.default_rng(1), dtype, (2, 3, 4))
    assert_same("dequantize_float32", x, scale=np.float32(0.0173), zero_point=5)
    assert_same("dequantize_float32", x, scale=f32([0.1, 1 / 3, 7]), zero_point=np.array([0, 1, 2]))
    assert_same("dequantize_float32", x, scale=f32([0.1, 1 / 3]), zero_point=0, axis=0)


@pytest.mark.parametrize("zero_point", [-128, 0, 77])
def test_all_codes_of_16_bits(zero_point: int) -> None:
    x = np.arange(-(2**15), 2**15, dtype=np.int16)
    for scale in f32([0.1, 1 / 3, 2.0**-9, 1e-40, 3e38]):
        assert_same("dequantize_float32", x, scale=scale, zero_point=zero_point)
