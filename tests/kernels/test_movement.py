"""The ops that only move elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.compare import Array, assert_same, codes, kernel_of

pytestmark = pytest.mark.nojit

X = codes(np.random.default_rng(1), np.int8, (2, 3, 4))
CASES: list[tuple[str, dict[str, Any]]] = [
    ("copy", {}),
    ("flatten", {"axis": 0}),
    ("flatten", {"axis": 1}),
    ("flatten", {"axis": -1}),
    ("flatten", {"axis": 3}),
    ("reshape", {"shape": (6, 4)}),
    ("reshape", {"shape": (0, -1)}),
    ("reshape", {"shape": (4, 0, -1, 1)}),
    ("transpose", {"perm": (0, 1, 2)}),
    ("transpose", {"perm": (2, 0, 1)}),
    ("unsqueeze", {"axes": (0,)}),
    ("unsqueeze", {"axes": (1, -1)}),
    ("unsqueeze", {"axes": (4, 0)}),
    ("pad", {"pads": (0, 1, 2, 1, 0, 3), "mode": "constant", "value": -128}),
    ("pad", {"pads": (0, -1, 2, 1, 0, -3), "mode": "constant", "value": 7}),
    ("pad", {"pads": (1, 2, 3, 0, 1, 2), "mode": "reflect"}),
    ("pad", {"pads": (1, -2, 3, 0, 1, 2), "mode": "edge"}),
    ("pad", {"pads": (1, 2, 3, 0, 1, 2), "mode": "wrap"}),
]


@pytest.mark.parametrize(("op", "parameters"), CASES)
@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.float32])
def test_same(op: str, parameters: dict[str, Any], dtype: Any) -> None:
    x = X.astype(dtype)
    if parameters.get("value", 0) < 0:
        parameters = {**parameters, "value": dtype(5)}
    assert_same(op, x, **parameters)
    assert kernel_of(op)(x, **parameters).dtype == dtype


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("blocksize", [1, 2, 3])
def test_depth_to_space(mode: str, blocksize: int) -> None:
    x = codes(np.random.default_rng(2), np.int8, (2, 36, 3, 5))
    assert_same("depth_to_space", x, blocksize=blocksize, mode=mode)


def test_squeeze() -> None:
    for axes in ((0,), (2,), (-2, 0), (0, 2)):
        assert_same("squeeze", X.reshape(1, 6, 1, 4), axes=axes)
    with pytest.raises(ValueError, match="not equal to one"):
        kernel_of("squeeze")(X, axes=(1,))


def test_concat() -> None:
    parts = [X, X[:, :1], X[:, 1:] + 1]
    for axis in (1, -2):
        assert_same("concat", *parts, axis=axis)
    assert_same("concat", X, axis=0)


def test_constant() -> None:
    assert_same("constant", value=X)


def test_copy_is_a_copy() -> None:
    result = kernel_of("copy")(X)
    assert not np.shares_memory(result, X)


@given(
    st.lists(
        st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.sampled_from([-3, -2, -1, 1, 2, 3])),
        min_size=1,
        max_size=3,
    )
)
def test_slice(cuts: list[tuple[int, int, int]]) -> None:
    starts, ends, steps = zip(*cuts, strict=True)
    assert_same("slice", X, starts=starts, ends=ends, steps=steps, axes=tuple(range(len(cuts)))[::-1])


def test_slice_backwards_over_the_first_element() -> None:
    huge = 2**63 - 1
    assert_same("slice", X, starts=(huge,), ends=(-huge,), steps=(-1,), axes=(-1,))
    assert_same("slice", X, starts=(-huge,), ends=(huge,), steps=(2,), axes=(-1,))


def test_an_unknown_pad_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode must be"):
        kernel_of("pad")(X, pads=(0,) * 6, mode="symmetric")


@pytest.mark.parametrize(
    "coordinate_mode", ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
)
@pytest.mark.parametrize("nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_resize_nearest(coordinate_mode: str, nearest_mode: str) -> None:
    modes = {"coordinate_mode": coordinate_mode, "nearest_mode": nearest_mode}
    x: Array = codes(np.random.default_rng(2), np.int8, (1, 2, 7, 10))
    for scales in ([1, 1, 2, 2], [1, 1, 0.5, 0.7], [1, 1, 1, 1], [1, 1, 1.3, 3.1], [1, 1, 1 / 7, 0.1]):
        assert_same("resize_nearest", x, **modes, scales=scales)
    for sizes in ([1, 2, 7, 10], [0, 0, 14, 5], [1, 2, 3, 33], [1, 2, 1, 1]):
        assert_same("resize_nearest", x, **modes, sizes=sizes)


@pytest.mark.parametrize(
    "changes", [{"coordinate_mode": "half"}, {"nearest_mode": "round"}, {"sizes": None}, {"scales": (1, 1, 1, 1)}]
)
def test_resize_nearest_refuses(changes: dict[str, Any]) -> None:
    parameters = {"sizes": (1, 1, 4, 4), "coordinate_mode": "half_pixel", "nearest_mode": "floor", **changes}
    with pytest.raises(ValueError, match="must be"):
        kernel_of("resize_nearest")(np.zeros((1, 1, 2, 2), np.int8), **parameters)
