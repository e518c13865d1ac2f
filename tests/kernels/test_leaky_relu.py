from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import ROUNDINGS
from tests import cases
from tests.kernels.compare import assert_same, kernel_of


@pytest.mark.nojit
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_12_bit_accumulator(rounding: str) -> None:
    x = np.tile(np.arange(-2048, 2048, dtype=np.int32), (len(cases.slopes(0)), 1))
    for shift in (0, 1, 8, 24):
        slope = np.array(cases.slopes(shift))
        assert_same("leaky_relu", x, slope=slope, shift=shift, rounding=rounding, width=12, axis=0)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("bits", "dtype"), [(8, np.int16), (32, np.int32), (40, np.int64), (62, np.int64)])
def test_random_and_boundary_values(rounding: str, bits: int, dtype: Any) -> None:
    rng = np.random.default_rng(bits)
    top = min(2**30, 2 ** (62 - bits))
    low, high = max(-(2 ** (bits - 1)), np.iinfo(dtype).min), min(2 ** (bits - 1) - 1, np.iinfo(dtype).max)
    x = rng.integers(low, high, (2, 3, 4, 50), endpoint=True).astype(dtype)
    boundaries = cases.integers(low, high)
    x[0, :, :, :40] = np.resize(boundaries, (3, 4, 40))
    for axis in (1, -1, 0):
        slope = rng.integers(-top, top, x.shape[axis])
        assert_same("leaky_relu", x, slope=slope, shift=11, rounding=rounding, width=bits, axis=axis)
    assert_same("leaky_relu", x, slope=int(top // 3), shift=0, rounding=rounding, width=bits)


def test_products_that_int64_does_not_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="may leave int64"):
        kernel_of("leaky_relu")(np.full((1, 1), -(2**40)), slope=2**24, shift=0, rounding="floor", width=64)
