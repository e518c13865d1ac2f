from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.kernels._jit import kernel
from intsim.kernels.fma import fma
from tests import cases
from tests.kernels.exact import float32, fraction

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
@pytest.mark.parametrize(("a", "b", "c"), cases.FUSED)
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
