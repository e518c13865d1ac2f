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


def mismatches(function: Callable[..., Array], sign: int, rule: str, **parameters: int) -> int:
    """How many of all pairs of 8-bit codes (every 25th of b) differ from the fractions."""
    b = A[::25]
    p = {"a_shift": 0, "b_shift": 0, "a_zero": 0, "b_zero": 0, "shift": 0, "zero_point": 0} | parameters
    codes = function(A[:, None], b, **p, rounding=rule, bits=8, signed=True)
    unit = Fraction(2) ** p["shift"]
    count = 0
    for (i, j), code in np.ndenumerate(codes):
        left = (int(A[i]) - p["a_zero"]) * 2 ** p["a_shift"]
        right = (int(b[j]) - p["b_zero"]) * 2 ** p["b_shift"]
        exact = FRACTION[rule]((left + sign * right) / unit) + p["zero_point"]
        count += int(code) != clipped(exact, 8, True)
    return count


CASES: list[dict[str, int]] = [
    {"shift": 0},  # the bare sum, clipped
    {"shift": 1},  # every odd sum is a tie
    {"a_shift": 3, "shift": 2},  # a is the coarser operand
    {"b_shift": 2, "shift": 4, "zero_point": -7},
    {"a_shift": 1, "b_shift": 1, "shift": -1},  # finer output than operands: shifted left
    {"a_zero": -128, "b_zero": 127, "shift": 3, "zero_point": 100},
]


@pytest.mark.parametrize("parameters", CASES)
@pytest.mark.parametrize("rule", ROUNDINGS)
def test_pairs_of_codes(parameters: dict[str, int], rule: str) -> None:
    assert mismatches(spec.add, 1, rule, **parameters) == 0
    assert mismatches(spec.sub, -1, rule, **parameters) == 0


def test_mutants_are_caught() -> None:
    def swapped_shifts(a: Array, b: Array, **p: Any) -> Array:
        return spec.add(a, b, **{**p, "a_shift": p["b_shift"], "b_shift": p["a_shift"]})

    def rounded_before(a: Array, b: Array, **p: Any) -> Array:
        shift = p.pop("shift")
        halves = [spec.shift_right(v, shift, p["rounding"]) for v in (a, b)]
        return spec.add(*halves, **p, shift=0)

    assert mismatches(spec.sub, 1, "half_up") > 0
    assert mismatches(swapped_shifts, 1, "half_up", a_shift=1) > 0
    assert mismatches(rounded_before, 1, "half_up", shift=1) > 0


@given(a=st.integers(-(2**80), 2**80), b=st.integers(-(2**62), 2**62), up=st.integers(0, 70), down=st.integers(-4, 90))
def test_any_size(a: int, b: int, up: int, down: int) -> None:
    parameters: dict[str, Any] = {"a_shift": 0, "b_shift": up, "shift": down, "bits": 64, "signed": True}
    for function, sign in ((spec.add, 1), (spec.sub, -1)):
        exact = FRACTION["half_even"](Fraction(a + sign * b * 2**up) / Fraction(2) ** down)
        assert int(function(a, b, **parameters, rounding="half_even")) == clipped(exact, 64, True)


@pytest.mark.parametrize("function", [spec.add, spec.sub])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.ones((2, 3), int)}, r"a and b must broadcast, not shapes \(2, 3\) and \(4,\)"),
        ({"b": [0.5]}, "b must hold integers, not 0.5"),
        ({"a_shift": -1}, "a_shift must be an integer within 0 to 1024, not -1"),
        ({"b_shift": 1.0}, "b_shift must be an integer within 0 to 1024, not 1.0"),
        ({"a_zero": [1]}, r"a_zero must be an integer within .*, not \[1\]"),
        ({"zero_point": 300}, "zero_point must be an integer within -128 to 127, not 300"),
        ({"rounding": ""}, "rounding must be one of .*, not ''"),
        ({"bits": 0}, "bits must be an integer within 1 to 64, not 0"),
    ],
)
def test_wrong_parameters(function: Callable[..., Array], changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"a": 1, "b": np.ones(4, int), "a_shift": 0, "b_shift": 0, "shift": 1}
    with pytest.raises(OutOfDomain, match=message):
        function(**{**good, "rounding": "floor", "bits": 8, "signed": True, **changes})
