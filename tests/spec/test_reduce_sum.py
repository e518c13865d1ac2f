from __future__ import annotations

import itertools

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain


def test_sums_written_out() -> None:
    x = np.random.default_rng(3).integers(-128, 128, (2, 3, 4, 5))
    sums = spec.reduce_sum(x, axes=(1, -1), keepdims=True, x_zero=9)
    assert sums.shape == (2, 1, 4, 1)
    for n, i in itertools.product(range(2), range(4)):
        assert sums[n, 0, i, 0] == sum(int(v) - 9 for v in x[n, :, i].flat)
    assert np.array_equal(spec.reduce_sum(x, axes=(1, 3), keepdims=False, x_zero=9), sums[:, 0, :, 0])


def test_what_is_refused() -> None:
    with pytest.raises(OutOfDomain, match="the sum must be within"):
        spec.reduce_sum(np.array([[2**31 - 1, 1]]), axes=(1,), keepdims=False)
    assert spec.reduce_sum(np.array([[2**31 - 1, 0]]), axes=(1,), keepdims=False).tolist() == [2**31 - 1]
    with pytest.raises(OutOfDomain, match="must be distinct"):
        spec.reduce_sum(np.zeros((2, 2), int), axes=(1, -1), keepdims=False)
    with pytest.raises(OutOfDomain, match="must have elements"):
        spec.reduce_sum(np.zeros((2, 0), int), axes=(1,), keepdims=False)
