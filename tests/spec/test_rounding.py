from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from tests import cases
from tests.spec.second import DECIMAL, FRACTION

INTEGERS = st.integers(-(2**70), 2**70)

TIES = [
    # n / 2, and what each rule makes of it, in the order of ROUNDINGS
    (-5, (-2, -3, -2, -3, -2, -3, -2, -2, -3)),  # -2.5: a negative tie between even -2 and odd -3
    (-3, (-1, -2, -2, -2, -1, -2, -1, -1, -2)),  # -1.5: a negative tie whose even neighbour is the lower one
    (-1, (0, -1, 0, -1, 0, -1, 0, 0, -1)),  # -0.5: zero is even, and there is no negative zero
    (0, (0, 0, 0, 0, 0, 0, 0, 0, 0)),  # an integer stays, whatever the rule
    (1, (1, 0, 0, 1, 0, 0, 1, 0, 1)),  # 0.5
    (3, (2, 1, 2, 2, 1, 1, 2, 1, 2)),  # 1.5
    (5, (3, 2, 2, 3, 2, 2, 3, 2, 3)),  # 2.5
]


@pytest.mark.parametrize(("n", "results"), TIES)
def test_every_rule_on_ties(n: int, results: tuple[int, ...]) -> None:
    assert tuple(int(spec.shift_right(n, 1, rule)) for rule in ROUNDINGS) == results
    assert tuple(int(spec.divide(n, 2, rule)) for rule in ROUNDINGS) == results


@pytest.mark.parametrize("rule", sorted(DECIMAL))
def test_shift_as_the_decimal_module_rounds(rule: str) -> None:
    with localcontext(prec=60):
        for shift in (1, 2, 7, 31, 40):
            values = cases.ties(shift, *cases.INT64)
            expected = [int((Decimal(v) / 2**shift).to_integral_value(DECIMAL[rule])) for v in values]
            assert spec.shift_right(np.array(values), shift, rule).tolist() == expected


@given(v=INTEGERS, shift=st.integers(-80, 140), rule=st.sampled_from(ROUNDINGS))
def test_shift_as_fractions_round(v: int, shift: int, rule: str) -> None:
    assert int(spec.shift_right(v, shift, rule)) == FRACTION[rule](Fraction(v) / Fraction(2) ** shift)


@given(n=INTEGERS, d=st.integers(1, 2**66), rule=st.sampled_from(ROUNDINGS))
def test_division_as_fractions_round(n: int, d: int, rule: str) -> None:
    assert int(spec.divide(n, d, rule)) == FRACTION[rule](Fraction(n, d))


@pytest.mark.parametrize("shift", cases.shifts(64))
@pytest.mark.parametrize("rule", ROUNDINGS)
def test_edges_of_int64(shift: int, rule: str) -> None:
    values = [*cases.integers(*cases.INT64), *cases.ties(shift, *cases.INT64)]
    expected = [FRACTION[rule](Fraction(v) / Fraction(2) ** shift) for v in values]
    assert spec.shift_right(np.array(values), shift, rule).tolist() == expected
    for v, result in ((values[0], expected[0]), (max(values), max(expected)), (1, expected[values.index(1)])):
        fits = -(2**63) <= result < 2**63
        assert spec.shift_right(np.array([v, 0]), shift, rule).dtype == (np.int64 if fits else object)


@pytest.mark.parametrize("divisor", [1, 2, 3, 10, 2**31 - 1, 2**63 - 1])
@pytest.mark.parametrize("rule", ROUNDINGS)
def test_quotients_at_and_beside_ties(divisor: int, rule: str) -> None:
    values = cases.quotient_ties(divisor, *cases.INT64)
    expected = [FRACTION[rule](Fraction(v, divisor)) for v in values]
    assert spec.divide(np.array(values), divisor, rule).tolist() == expected


def test_shifts_of_both_signs_broadcast() -> None:
    result = spec.shift_right(np.array([[5], [-5]]), np.array([-1, 0, 1, 2]), "half_up")
    assert result.tolist() == [[10, 5, 3, 1], [-10, -5, -2, -1]]


def test_division_broadcasts_and_stays_exact_at_the_edge() -> None:
    n = np.array([[-(2**63)], [2**63 - 1]])
    for rule in ROUNDINGS:
        expected = [[FRACTION[rule](Fraction(int(v), d)) for d in (1, 2, 2**63 - 1)] for v in n[:, 0]]
        assert spec.divide(n, np.array([1, 2, 2**63 - 1]), rule).tolist() == expected


def test_any_integer_dtype_and_objects_give_int64() -> None:
    for dtype in (np.int8, np.uint8, np.int32, np.uint64, object):
        result = spec.shift_right(np.array([5, 7], dtype), 1, "half_up")
        assert result.dtype == np.int64
        assert result.tolist() == [3, 4]
    assert spec.shift_right([], 3, "floor").shape == (0,)
    assert spec.shift_right(np.array([2**64 - 1], np.uint64), 1, "floor").tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    ("v", "shift", "rule", "message"),
    [
        (1, 1, "nearest", "rounding must be one of half_up, "),
        (1, 1, None, "rounding must be one of half_up, "),
        (1.0, 1, "floor", "v must hold integers, not 1.0"),
        (np.ones(2), 1, "floor", "v must hold integers, not float64"),
        (np.ones(2, bool), 1, "floor", "v must hold integers, not bool"),
        (1, 1025, "floor", "shift must be an integer within -1024 to 1024, not 1025"),
        (1, 0.5, "floor", "shift must hold integers, not 0.5"),
        (np.ones(2, int), [1, 2, 3], "floor", r"shift must broadcast to shape \(2,\), not \(3,\)"),
    ],
)
def test_wrong_parameters(v: object, shift: object, rule: object, message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.shift_right(v, shift, rule)  # type: ignore[arg-type]


@pytest.mark.parametrize("d", [0, -1, [3, 0]])
def test_divisor_must_be_positive(d: object) -> None:
    with pytest.raises(OutOfDomain, match="d must be positive, not"):
        spec.divide(1, d, "floor")  # type: ignore[arg-type]
