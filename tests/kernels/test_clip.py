from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.compare import assert_same, codes, kernel_of


@pytest.mark.nojit
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize(("low", "high"), [(0, 6), (-5, 100), (-300, 300), (3, 3), (0, 10**6), (-(2**63), 9)])
def test_bounds(dtype: Any, low: int, high: int) -> None:
    x = codes(np.random.default_rng(1), dtype, (2, 3, 50))
    assert_same("clip", x, low=low, high=high)
    assert kernel_of("clip")(x, low=low, high=high).dtype == dtype


def test_all_codes_and_bounds_of_4_bits() -> None:
    x = np.arange(-8, 8, dtype=np.int8)
    for low in range(-9, 9):
        for high in range(max(low, -9), 9):
            if high >= -128:
                assert_same("clip", x, low=low, high=high)


@pytest.mark.parametrize(("low", "high"), [(3, 2), (200, 300), (-300, -200)])
def test_bounds_without_a_code_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="must enclose a value of int8"):
        kernel_of("clip")(np.zeros(3, np.int8), low=low, high=high)
