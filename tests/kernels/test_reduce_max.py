from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim import spec
from tests.kernels.compare import assert_same, codes, kernel_of


@pytest.mark.nojit
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(2, 3), (3,), (1,), (-1, -2), (0, 2), (0, 1, 2, 3), ()])
def test_axes(axes: tuple[int, ...], keepdims: bool) -> None:
    x = codes(np.random.default_rng(1), np.int8, (2, 3, 3, 4))
    assert_same("reduce_max", x, axes=axes, keepdims=keepdims)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32])
@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_dtypes(dtype: Any, length: int) -> None:
    x = codes(np.random.default_rng(length), dtype, (4, 50, length))
    assert_same("reduce_max", x, axes=(2,), keepdims=True)


def test_reals() -> None:
    """Of equal zeros the first one, NaN above all."""
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], np.float32)
    x = np.stack(np.meshgrid(values, values, values, indexing="ij"), -1)
    kernel = kernel_of("reduce_max")
    got, expected = (f(x, axes=(3,), keepdims=False) for f in (kernel, spec.reduce_max))
    assert got.tobytes() == expected.tobytes()


def test_no_elements_are_refused() -> None:
    with pytest.raises(ValueError, match="must have elements"):
        kernel_of("reduce_max")(np.zeros((2, 0), np.int8), axes=(1,), keepdims=False)
