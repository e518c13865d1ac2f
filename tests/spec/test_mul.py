from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from tests.spec.second import FRACTION, Array, clipped

A = np.arange(-128, 128)
B = A[::25]


def mismatches(function: Callable[..., Array], rule: str, a_zero: int, b_zero: int, shift: int, zero: int) -> int:
    codes = function(
        A[:, None],
        B,
        a_zero=a_zero,
        b_zero=b_zero,
        shift=shift,
        rounding=rule,
        zero_point=zero,
        bits=8,
        signed=True,
    )
    count = 0
    for (i, j), code in np.ndenumerate(codes):
        exact = Fraction((int(A[i]) - a_zero) * (int(B[j]) - b_zero)) / Fraction(2) ** shift
        count += int(code) != clipped(FRACTION[rule](exact) + zero, 8, True)
    return count


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize(
    ("a_zero", "b_zero", "shift", "zero"), [(0, 0, 7, 0), (-128, 5, 9, -20), (3, 0, 1, 9), (0, 0, -2, 1)]
)
def test_pairs_of_codes(rule: str, a_zero: int, b_zero: int, shift: int, zero: int) -> None:
    assert mismatches(spec.mul, rule, a_zero, b_zero, shift, zero) == 0


def test_mutants_are_caught() -> None:
    def swapped_zeros(a: Array, b: Array, **p: Any) -> Array:
        return spec.mul(a, b, **{**p, "a_zero": p["b_zero"], "b_zero": p["a_zero"]})

    def floored(a: Array, b: Array, **p: Any) -> Array:
        return spec.mul(a, b, **{**p, "rounding": "floor"})

    assert mismatches(swapped_zeros, "half_up", 3, 0, 7, 0) > 0
    assert mismatches(floored, "half_up", 0, 0, 7, 0) > 0


@given(a=st.integers(-(2**70), 2**70), b=st.integers(-(2**70), 2**70), shift=st.integers(0, 150))
def test_any_size(a: int, b: int, shift: int) -> None:
    code = spec.mul(a, b, shift=shift, rounding="half_away", bits=64, signed=True)
    assert int(code) == clipped(FRACTION["half_away"](Fraction(a * b, 2**shift)), 64, True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.ones((2, 3), int)}, r"a and b must broadcast, not shapes \(2, 3\) and \(4,\)"),
        ({"b": "text"}, "b must hold integers, not 'text'"),
        ({"b_zero": 0.5}, "b_zero must be an integer within .*, not 0.5"),
        ({"shift": 9999}, "shift must be an integer within -1024 to 1024, not 9999"),
        ({"rounding": "even"}, "rounding must be one of .*, not 'even'"),
        ({"signed": "yes"}, "signed must be True or False, not 'yes'"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"a": 1, "b": np.ones(4, int), "shift": 1, "rounding": "floor", "bits": 8, "signed": True}
    with pytest.raises(OutOfDomain, match=message):
        spec.mul(**{**good, **changes})
