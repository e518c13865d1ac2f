from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.kernels._jit import kernel
from intsim.kernels.fma import fma
from tests.kernels.exact import float32, fraction

E = 2.0**-12
# Each row: a * b + c with what makes it hard.
EDGES = [
    (1 + E, 1 + E, 2.0**-60),  # a tie of float32 in a * b, broken upwards far below float64's last bit
    (1 + E, 1 + E, -(2.0**-60)),  # the same, broken downwards
    (1 + E, -1 - E, 2.0**-60),  # negative
    (1 + E, 1 + E, 0.0),  # a tie that stays one, to even
    (1 + 3 * E, 1 + E, 0.0),  # and one whose even neighbour is above
    (1 + E, 1 + E, -1.0),  # the product's lost bits are all that is left
    (1 + 2.0**-23, 1 - 2.0**-23, -1.0),  # -2**-46: a rounded product would give 0
    (3.0, 1 / 3, -1.0),  # a quotient's remainder
    (2.0**-100, 2.0**-49, 0.0),  # half the least float32, a tie to zero
    (2.0**-100, 1.5 * 2.0**-49, 0.0),  # above that tie
    (2.0**-75, 2.0**-75, 2.0**-126),  # a subnormal product beside the least normal number
    (1.0, 2.0**100, 1.0),  # an addend that only counts as "not exactly"
    (1.0, 2.0**24, 1.0),  # a tie to even, downwards
    (1.0, 2.0**24 + 2, 1.0),  # a tie to even, upwards
    (0.0, 5.0, 7.0),
]
FLOATS = st.floats(-(2.0**40), 2.0**40, width=32)


@kernel
def compiled(a: Any, b: Any, c: Any) -> Any:
    return fma(a, b, c)


def assert_one_rounding(a: Any, b: Any, c: Any) -> None:
    a, b, c = np.float32(a), np.float32(b), np.float32(c)
    expected = float32(fraction(a) * fraction(b) + fraction(c))
    for function in (fma, compiled):
        result = function(a, b, c)
        assert fraction(result) == expected, (function, a, b, c)
    assert isinstance(fma(a, b, c), np.float32)


@pytest.mark.nojit
@pytest.mark.parametrize(("a", "b", "c"), EDGES)
def test_edges(a: float, b: float, c: float) -> None:
    assert_one_rounding(a, b, c)
    assert_one_rounding(a, b, -c)


@given(FLOATS, FLOATS, FLOATS)
@settings(max_examples=500)
def test_any(a: float, b: float, c: float) -> None:
    assert_one_rounding(a, b, c)


@given(st.integers(2**23, 2**24 - 1), st.integers(2**23, 2**24 - 1), st.integers(-40, 2), st.integers(-1, 1))
@settings(max_examples=500)
def test_cancellation_and_ties(m: int, n: int, exponent: int, sign: int) -> None:
    product = fraction(np.float32(m * 2.0**-23)) * fraction(np.float32(n * 2.0**-23))
    assert_one_rounding(m * 2.0**-23, n * 2.0**-23, -float(float32(product)))
    assert_one_rounding(m * 2.0**-23, n * 2.0**-23, sign * 2.0**exponent)


def test_the_twin_and_the_machine_agree_on_what_is_not_finite() -> None:
    big, infinity = np.float32(3e38), np.float32(np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for a, b, c in ((big, big, -big), (infinity, big, big), (infinity, big, -infinity)):
            assert np.array_equal(fma(a, b, c), compiled(a, b, c), equal_nan=True)
