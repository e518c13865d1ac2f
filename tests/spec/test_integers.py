from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.errors import OutOfDomain
from intsim.spec.integers import add, along, as_integers, bounds, dtype_for, multiply, shift_left, subtract
from tests import cases

EDGE = st.sampled_from(cases.integers(-(2**63) - 1, 2**63))
LISTS = st.lists(EDGE | st.integers(-(2**80), 2**80), min_size=1, max_size=4)


@given(LISTS, LISTS)
def test_arithmetic_is_that_of_python(a: list[int], b: list[int]) -> None:
    b = (b * 4)[: len(a)]
    left, right = as_integers(a, "a"), as_integers(b, "b")
    for function, expected in (
        (add, [x + y for x, y in zip(a, b, strict=True)]),
        (subtract, [x - y for x, y in zip(a, b, strict=True)]),
        (multiply, [x * y for x, y in zip(a, b, strict=True)]),
    ):
        got = function(left, right)
        assert got.tolist() == expected
        assert got.dtype == dtype_for(min(expected), max(expected))


@given(LISTS, st.integers(0, 70))
def test_left_shift(a: list[int], amount: int) -> None:
    shifted = shift_left(as_integers(a, "a"), as_integers(amount, "amount"))
    assert shifted.tolist() == [v * 2**amount for v in a]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "i"),
        ([2**63 - 1, -(2**63)], "i"),  # just fits
        ([2**63], "O"),  # NumPy alone would make uint64
        ([2**63, -1], "O"),  # NumPy alone would make float64
        (np.array([5], np.uint64), "i"),
        (np.array([2**64 - 1], np.uint64), "O"),
        (np.array([2**70, 1], object), "O"),
        (np.array([np.int8(3), 1], object), "i"),
        (np.int8(-3), "i"),
        (7, "i"),
    ],
)
def test_the_smallest_dtype_that_holds_the_values(values: object, kind: str) -> None:
    array = as_integers(values, "v")  # type: ignore[arg-type]
    assert array.dtype.kind == kind
    assert array.tolist() == np.asarray(values, object).tolist()
    assert all(type(v) is int for v in array.ravel().tolist())


@pytest.mark.parametrize("values", [1.0, [1, 2.0], "1", None, np.ones(2), np.array([True]), [[1, 2], [3]]])
def test_no_integers(values: object) -> None:
    with pytest.raises(OutOfDomain, match="v must hold integers, not"):
        as_integers(values, "v")  # type: ignore[arg-type]


def test_bounds() -> None:
    assert bounds(np.array([3, -5, 2])) == (-5, 3)
    assert bounds(np.array([], int)) == (0, 0)


def test_along() -> None:
    values = np.arange(3)
    assert along(values, 1, (2, 3, 4), "p").shape == (1, 3, 1)
    assert along(values, -2, (2, 3, 4), "p").shape == (1, 3, 1)
    assert along(values, 1, (3,), "p").shape == (3,)
    assert along(values[:1], 1, (2, 3, 4), "p").shape == (1, 1, 1)
    assert along(np.zeros((2, 1)), 1, (2, 5), "p").shape == (2, 1)
    with pytest.raises(OutOfDomain, match="p must have 1 or 4 elements, not 3"):
        along(values, 2, (2, 3, 4), "p")
