"""copy, concat, flatten, reshape, squeeze, transpose, unsqueeze: codes move, values and dtype stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnx_reference
from tests.spec.second import Array

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
DTYPES = st.sampled_from([np.int8, np.uint8, np.int16, np.int32, np.float32])


def numbered(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array whose elements are all different, as far as the dtype goes."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def check(got: Array, expected: Array) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert np.array_equal(got, expected)


@given(SHAPES, DTYPES)
def test_copy(shape: tuple[int, ...], dtype: Any) -> None:
    x = numbered(shape, dtype)
    copy = spec.copy(x)
    check(copy, onnx_reference("Identity", [x]))
    assert not np.shares_memory(copy, x)


@given(SHAPES, DTYPES, st.lists(st.integers(1, 3), min_size=1, max_size=3), st.data())
def test_concat(shape: tuple[int, ...], dtype: Any, lengths: list[int], data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    place = axis % len(shape)
    xs = [numbered((*shape[:place], n, *shape[place + 1 :]), dtype) + i for i, n in enumerate(lengths)]
    xs = [x.astype(dtype) for x in xs]
    check(spec.concat(*xs, axis=axis), onnx_reference("Concat", xs, axis=axis))


@given(SHAPES, DTYPES, st.data())
def test_reshape(shape: tuple[int, ...], dtype: Any, data: st.DataObject) -> None:
    x = numbered(shape, dtype)
    target = list(data.draw(st.permutations(shape)))
    if data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(shape) - 1))] = -1
    elif target[0] == shape[0]:
        target[0] = 0
    check(spec.reshape(x, shape=tuple(target)), onnx_reference("Reshape", [x, np.array(target)]))


@given(SHAPES, DTYPES, st.data())
def test_transpose(shape: tuple[int, ...], dtype: Any, data: st.DataObject) -> None:
    x = numbered(shape, dtype)
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    got = spec.transpose(x, perm=perm)
    check(got, onnx_reference("Transpose", [x], perm=perm))
    for at in np.ndindex(got.shape):
        assert got[at] == x[tuple(at[perm.index(axis)] for axis in range(x.ndim))]


@given(SHAPES, DTYPES, st.data())
def test_squeeze_and_unsqueeze(shape: tuple[int, ...], dtype: Any, data: st.DataObject) -> None:
    x = numbered(shape, dtype)
    count = data.draw(st.integers(1, 3))
    rank = len(shape) + count
    axes = tuple(data.draw(st.permutations(range(rank)))[:count])
    axes = tuple(a - rank if data.draw(st.booleans()) else a for a in axes)
    wide = spec.unsqueeze(x, axes=axes)
    check(wide, onnx_reference("Unsqueeze", [x, np.array(axes)]))
    check(spec.squeeze(wide, axes=axes), x)
    check(spec.squeeze(wide, axes=axes), onnx_reference("Squeeze", [wide, np.array(axes)]))


@given(SHAPES, DTYPES, st.data())
def test_flatten(shape: tuple[int, ...], dtype: Any, data: st.DataObject) -> None:
    x = numbered(shape, dtype)
    axis = data.draw(st.integers(-len(shape), len(shape)))
    check(spec.flatten(x, axis=axis), onnx_reference("Flatten", [x], axis=axis))


def test_an_empty_batch_moves_too() -> None:
    x = np.zeros((0, 3, 2), np.int8)
    assert spec.reshape(x, shape=(0, 6)).shape == (0, 6)
    assert spec.transpose(x, perm=(1, 0, 2)).shape == (3, 0, 2)
    assert spec.concat(x, x, axis=0).shape == (0, 3, 2)
    assert spec.flatten(x, axis=1).shape == (0, 6)


X = np.arange(6).reshape(2, 3)


@pytest.mark.parametrize(
    ("op", "arguments", "parameters", "message"),
    [
        ("concat", (), {"axis": 0}, "xs must be at least one array"),
        ("concat", (X, X), {"axis": 2}, "axis must be an integer within -2 to 1, not 2"),
        ("concat", (X, X.T), {"axis": 0}, r"xs must have equal lengths off axis 0, not shapes \[\(2, 3\), \(3, 2\)\]"),
        ("concat", (X, X[0]), {"axis": 0}, "xs must have equal lengths off axis 0"),
        ("reshape", (X,), {"shape": (4, 2)}, r"shape must fit \(2, 3\), not \(4, 2\)"),
        ("reshape", (X,), {"shape": (-1, -1)}, r"shape must fit \(2, 3\), not \(-1, -1\)"),
        ("reshape", (X,), {"shape": (-1, 4)}, r"shape must fit \(2, 3\), not \(-1, 4\)"),
        ("reshape", (X,), {"shape": (2, 3, 0)}, r"shape must fit \(2, 3\), not \(2, 3, 0\)"),
        ("reshape", (X,), {"shape": (2, 3.0)}, "shape must be an integer within -1 to 2147483647, not 3.0"),
        ("reshape", (X,), {"shape": (-2, -3)}, "shape must be an integer within -1 to 2147483647, not -2"),
        ("transpose", (X,), {"perm": (0,)}, r"perm must be 2 integers, not \(0,\)"),
        ("transpose", (X,), {"perm": (0, 0)}, r"perm must be an order of 2 axes, not \(0, 0\)"),
        ("transpose", (X,), {"perm": (0, -1)}, "perm must be an integer within 0 to 1, not -1"),
        ("squeeze", (X,), {"axes": (0,)}, r"axes must have length 1, not \(0,\) of shape \(2, 3\)"),
        ("squeeze", (X[:1],), {"axes": (0, -2)}, r"axes must be distinct, not \(0, -2\)"),
        ("unsqueeze", (X,), {"axes": (3,)}, "axes must be an integer within -3 to 2, not 3"),
        ("unsqueeze", (X,), {"axes": (0, 0)}, r"axes must be distinct, not \(0, 0\)"),
        ("flatten", (X,), {"axis": 3}, "axis must be an integer within -2 to 2, not 3"),
    ],
)
def test_wrong_parameters(op: str, arguments: tuple[Array, ...], parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        getattr(spec, op)(*arguments, **parameters)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("blocksize", [1, 2, 3])
def test_depth_to_space(mode: str, blocksize: int) -> None:
    x = numbered((2, 2 * blocksize**2, 3, 4), np.int16)
    got = spec.depth_to_space(x, blocksize=blocksize, mode=mode)
    check(got, onnx_reference("DepthToSpace", [x], blocksize=blocksize, mode=mode))


def test_depth_to_space_by_hand() -> None:
    """One pixel of 8 channels: neighbouring channels stay channels (DCR), or become neighbouring pixels (CRD)."""
    x = np.arange(8).reshape(1, 8, 1, 1)
    assert spec.depth_to_space(x, blocksize=2, mode="DCR").tolist() == [[[[0, 2], [4, 6]], [[1, 3], [5, 7]]]]
    assert spec.depth_to_space(x, blocksize=2, mode="CRD").tolist() == [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]


OUTSIDE = [((1, 6, 2, 2), 2, "DCR"), ((4, 2, 2), 2, "DCR"), ((1, 4, 1, 1), 0, "DCR"), ((1, 4, 1, 1), 2, "RDC")]


@pytest.mark.parametrize(("shape", "blocksize", "mode"), OUTSIDE)
def test_depth_to_space_outside_its_domain(shape: tuple[int, ...], blocksize: int, mode: str) -> None:
    with pytest.raises(OutOfDomain):
        spec.depth_to_space(numbered(shape, np.int8), blocksize=blocksize, mode=mode)
