from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnx_reference


def test_maxima_written_out() -> None:
    x = np.random.default_rng(3).integers(-128, 128, (2, 3, 4, 5)).astype(np.int8)
    largest = spec.reduce_max(x, axes=(1, -1), keepdims=True)
    assert largest.shape == (2, 1, 4, 1)
    assert largest.dtype == np.int8
    for n, i in itertools.product(range(2), range(4)):
        assert largest[n, 0, i, 0] == max(int(v) for v in x[n, :, i].flat)
    assert np.array_equal(spec.reduce_max(x, axes=(1, 3), keepdims=False), largest[:, 0, :, 0])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(2, 3), (3,), (1,), (0, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32])
def test_onnx_says_so(axes: tuple[int, ...], keepdims: bool, dtype: Any) -> None:
    x = np.random.default_rng(5).integers(0, 128, (2, 3, 3, 4)).astype(dtype)
    expected = onnx_reference("ReduceMax", [x, np.array(axes)], keepdims=int(keepdims))
    assert np.array_equal(spec.reduce_max(x, axes=axes, keepdims=keepdims), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
def test_both_ends(dtype: Any) -> None:
    """Not an element that is larger in another width, or as a signed number."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = np.array([[low, high], [high, low], [low, low], [high, high]], dtype)
    assert spec.reduce_max(x, axes=(1,), keepdims=False).tolist() == [high, high, low, high]


def test_reals_that_are_equal_or_none() -> None:
    x = np.array([[0.0, -0.0], [-0.0, 0.0], [np.nan, 1.0], [1.0, np.nan], [-np.inf, -1.0]], np.float32)
    largest = spec.reduce_max(x, axes=(1,), keepdims=False)
    assert np.array_equal(largest, np.array([0, 0, np.nan, np.nan, -1], np.float32), equal_nan=True)
    assert np.signbit(largest).tolist() == [False, True, False, False, True]


def test_what_is_refused() -> None:
    with pytest.raises(OutOfDomain, match="must be distinct"):
        spec.reduce_max(np.zeros((2, 2), int), axes=(1, -1), keepdims=False)
    with pytest.raises(OutOfDomain, match="must have elements"):
        spec.reduce_max(np.zeros((2, 0), int), axes=(1,), keepdims=False)
    with pytest.raises(OutOfDomain, match="axes"):
        spec.reduce_max(np.zeros((2, 2), int), axes=(2,), keepdims=False)
    with pytest.raises(OutOfDomain, match="keepdims"):
        spec.reduce_max(np.zeros((2, 2), int), axes=(1,), keepdims="no")  # type: ignore[arg-type]
