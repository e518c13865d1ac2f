from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.compare import assert_same, kernel_of


@pytest.mark.nojit
@pytest.mark.parametrize(("dtype", "low"), [(np.int8, -128), (np.uint8, 0)])
@pytest.mark.parametrize("out", [np.int8, np.uint8, np.int16, np.int32])
def test_all_codes_of_8_bits(dtype: Any, low: int, out: Any) -> None:
    x = np.arange(low, low + 256).astype(dtype).reshape(2, 2, 64)
    entries = np.random.default_rng(1).permutation(256).astype(out)
    assert_same("table", x, table=entries, low=low)
    assert kernel_of("table")(x, table=entries, low=low).dtype == out


@pytest.mark.nojit
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_a_table_per_channel(axis: int) -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(-8, 8, (2, 3, 4)).astype(np.int8)
    assert_same("table", x, table=rng.integers(-8, 8, (x.shape[axis], 16)).astype(np.int8), low=-8, axis=axis)


@pytest.mark.parametrize("code", [-9, 8])
def test_codes_outside_the_table_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="must be within -8 to 7"):
        kernel_of("table")(np.array([0, code], np.int8), table=np.zeros(16, np.int8), low=-8)
