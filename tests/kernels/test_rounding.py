from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.formats import ROUNDINGS
from intsim.kernels.rounding import MAX_SHIFT, RULES, divide, fold, shift_right, shift_terms
from intsim.spec import rounding as spec
from tests import cases

INT64 = st.integers(-(2**63), 2**63 - 1)


def test_the_rules_are_the_formats_rules() -> None:
    assert tuple(RULES) == ROUNDINGS
    assert sorted(RULES.values()) == list(range(len(ROUNDINGS)))


@pytest.mark.nojit
@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("shift", [0, 1, 2, 5])
def test_shift_right_of_all_narrow_numbers(rule: str, shift: int) -> None:
    v = np.arange(-130, 131)
    terms = shift_terms(rule, shift)
    got = [int(shift_right(np.int64(n), shift, *terms)) for n in v]
    assert got == list(spec.shift_right(v, shift, rule))


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("shift", [1, 31, 32, 61, MAX_SHIFT])
def test_shift_right_at_the_ends_of_int64(rule: str, shift: int) -> None:
    terms = shift_terms(rule, shift)
    values = [*cases.integers(*cases.INT64), *cases.ties(shift, *cases.INT64)]
    for v, expected in zip(values, spec.shift_right(np.array(values), shift, rule).tolist(), strict=True):
        assert int(shift_right(v, shift, *terms)) == expected, v


@given(v=INT64, shift=st.integers(0, MAX_SHIFT), rule=st.sampled_from(ROUNDINGS))
def test_shift_right(v: int, shift: int, rule: str) -> None:
    assert int(shift_right(v, shift, *shift_terms(rule, shift))) == int(spec.shift_right(v, shift, rule))


@given(v=INT64, shift=st.integers(MAX_SHIFT + 1, 200), rule=st.sampled_from(ROUNDINGS))
def test_a_fold_then_a_shift_is_a_longer_shift(v: int, shift: int, rule: str) -> None:
    folded = fold(np.array([v]), np.array([shift - MAX_SHIFT]))[0]
    got = shift_right(folded, MAX_SHIFT, *shift_terms(rule, MAX_SHIFT))
    assert int(got) == int(spec.shift_right(v, shift, rule))


@pytest.mark.nojit
@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 9])
def test_divide_of_all_narrow_numbers(rule: str, d: int) -> None:
    n = np.arange(-40, 41)
    assert [int(divide(np.int64(k), d, RULES[rule])) for k in n] == list(spec.divide(n, d, rule))


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("d", [1, 2, 3, 10, 2**31 - 1, 2**62, 2**63 - 1])
def test_divide_at_the_ends_of_int64(rule: str, d: int) -> None:
    values = [*cases.quotient_ties(d, *cases.INT64), *cases.pair_sums(20, *cases.INT64, seed=1)]
    for n, expected in zip(values, spec.divide(np.array(values), d, rule).tolist(), strict=True):
        assert int(divide(n, d, RULES[rule])) == expected, n


@given(n=INT64, d=st.integers(1, 2**63 - 1), rule=st.sampled_from(ROUNDINGS))
def test_divide(n: int, d: int, rule: str) -> None:
    assert int(divide(n, d, RULES[rule])) == int(spec.divide(n, d, rule))
