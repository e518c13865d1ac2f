from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from intsim.spec.fma import fma
from tests import cases
from tests.spec.second import float32

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def check(a: np.float32, b: np.float32, c: np.float32) -> None:
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    expected = float32(exact)
    got = fma(np.asarray(a), np.asarray(b), np.asarray(c))
    assert got.dtype == np.float32
    assert float(got) == float(expected)


@given(a=FLOATS, b=FLOATS, c=FLOATS)
def test_one_rounding(a: float, b: float, c: float) -> None:
    check(np.float32(a), np.float32(b), np.float32(c))


@given(
    a=st.integers(-(2**24), 2**24),
    b=st.integers(-(2**24), 2**24),
    scale=st.integers(-60, 60),
    drop=st.integers(0, 80),
    nudge=st.integers(-2, 2),
)
def test_where_two_roundings_differ(a: int, b: int, scale: int, drop: int, nudge: int) -> None:
    """c is near -a * b, or a tiny part of it, so that the sum lies at or beside a tie of float32 and of float64."""
    a32, b32 = np.float32(a), np.float32(b * 2.0**scale)
    product = float(np.float64(a32) * np.float64(b32))
    check(a32, b32, np.float32(-product))
    check(a32, b32, np.float32((product + nudge * 2.0**scale) * 2.0**-drop))


def test_edges() -> None:
    for case in (*cases.FUSED, *cases.FUSED_BEYOND):
        check(*np.array(case, np.float32))


def test_two_roundings_would_be_seen() -> None:
    """The cases above tell fma from a product and a sum that are each rounded, in float32 and in float64."""
    a, b, c = np.array(cases.FUSED, np.float32).T
    right = fma(a, b, c)
    with np.errstate(over="ignore"):
        assert (right != a * b + c).any()
        assert (right != (a.astype(np.float64) * b + c).astype(np.float32)).any()
