from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnx_reference, onnxruntime
from tests.spec.second import Array


def numbered(shape: list[int], dtype: Any = np.int8) -> Array:
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


@given(
    shape=st.lists(st.integers(3, 5), min_size=1, max_size=3),
    pads=st.tuples(*[st.integers(-1, 2)] * 6),
    mode=st.sampled_from(["constant", "reflect", "edge", "wrap"]),
    value=st.integers(-128, 127),
)
def test_any_padding(shape: list[int], pads: Any, mode: str, value: int) -> None:
    rank = len(shape)
    x, amounts = numbered(shape), np.array(pads[:rank] + pads[3 : 3 + rank])
    got = spec.pad(x, pads=tuple(amounts.tolist()), mode=mode, value=value)
    assert got.dtype == np.int8
    assert got.shape == tuple(n + int(amounts[i] + amounts[rank + i]) for i, n in enumerate(shape))
    for at in np.ndindex(got.shape):
        assert got[at] == element(x, [int(p) - int(amounts[i]) for i, p in enumerate(at)], amounts, mode, value)


def element(x: Array, at: list[int], amounts: Array, mode: str, value: int) -> int:
    """The element at a place relative to x's first one, axis by axis; negative pads shorten x first."""
    place = []
    for i, p in enumerate(at):
        first = max(0, -int(amounts[i]))
        length = x.shape[i] - first - max(0, -int(amounts[x.ndim + i]))
        offset = p - first
        if mode == "constant" and not 0 <= offset < length:
            return value
        if mode == "edge":
            offset = 0 if offset < 0 else min(offset, length - 1)
        if mode == "wrap":
            offset %= length
        while mode == "reflect" and not 0 <= offset < length:
            offset = -offset if offset < 0 else 2 * (length - 1) - offset
            if length == 1:
                offset = 0
        place.append(first + offset)
    return int(x[tuple(place)])


@given(shape=st.lists(st.integers(3, 5), min_size=1, max_size=3), pads=st.tuples(*[st.integers(0, 2)] * 6))
def test_as_onnx_runtime(shape: list[int], pads: Any) -> None:
    pytest.importorskip("onnxruntime")
    rank = len(shape)
    x, amounts = numbered(shape), np.array(pads[:rank] + pads[3 : 3 + rank])
    for mode in ("constant", "reflect", "edge", "wrap"):
        expected = onnxruntime("Pad", [x, amounts, np.int8(7)], mode=mode)
        assert np.array_equal(spec.pad(x, pads=tuple(amounts.tolist()), mode=mode, value=7), expected), mode


def test_negative_pads_as_onnx_runtime() -> None:
    pytest.importorskip("onnxruntime")
    x = numbered([4, 5])
    for pads in ((-1, 0, 0, -2), (1, -1, -1, 2), (-2, -2, 1, 1)):
        expected = onnxruntime("Pad", [x, np.array(pads), np.int8(7)], mode="constant")
        assert np.array_equal(spec.pad(x, pads=pads, mode="constant", value=7), expected)


def test_reals_take_a_real() -> None:
    x = numbered([2, 2], np.float32)
    expected = onnx_reference("Pad", [x, np.array([0, 1, 0, 0]), np.float32(0.5)], mode="constant")
    got = spec.pad(x, pads=(0, 1, 0, 0), mode="constant", value=0.5)
    assert got.dtype == np.float32
    assert np.array_equal(got, expected)


def test_mutants_are_caught() -> None:
    x = numbered([3, 4])

    def shifted(x: Array, pads: Any, **p: Any) -> Array:
        return spec.pad(x, pads=(pads[2], pads[1], pads[0], pads[3]), **p)

    def swapped_axis(x: Array, pads: Any, **p: Any) -> Array:
        return spec.pad(x.T, pads=pads, **p).T

    def symmetric(x: Array, pads: Any, **p: Any) -> Array:
        around = [(pads[0], pads[2]), (pads[1], pads[3])]
        return np.pad(x, around, mode="symmetric")

    def differs(function: Callable[..., Array], mode: str) -> bool:
        right = spec.pad(x, pads=(2, 1, 0, 1), mode=mode)
        return not np.array_equal(function(x, pads=(2, 1, 0, 1), mode=mode), right)

    assert differs(shifted, "constant")
    assert differs(swapped_axis, "constant")
    assert differs(symmetric, "reflect")


GOOD: dict[str, Any] = {"x": np.zeros((2, 3), np.int8), "pads": (0, 0, 1, 1), "mode": "constant"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "mirror"}, "mode must be one of constant, reflect, edge, wrap, not 'mirror'"),
        ({"pads": (1, 1)}, r"pads must be 4 integers, not \(1, 1\)"),
        ({"pads": (0, 0, 0, 0.5)}, "pads must be an integer within .*, not 0.5"),
        ({"pads": (-2, 0, -1, 0)}, r"pads must leave elements of shape \(2, 3\), not \(-2, 0, -1, 0\)"),
        ({"pads": (-2, 0, 1, 0), "mode": "edge"}, r"pads must leave elements to repeat of shape \(2, 3\)"),
        ({"value": 200}, "value must be an integer within -128 to 127, not 200"),
        ({"value": 0.5}, "value must be an integer within -128 to 127, not 0.5"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.pad(**{**GOOD, **changes})
