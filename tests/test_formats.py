"""The tie rules that all but spec and kernels share, against the spec's own and against a third formulation."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from intsim import spec
from intsim.formats import ROUNDINGS, round_quotient
from tests.spec.second import FRACTION

DIVISORS = [*range(1, 18), 31, 32, 33, 64, 2**15]


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_every_quotient_of_small_integers_as_the_spec_rounds_it(rule: str) -> None:
    for d in DIVISORS:
        n = np.arange(-4 * d - 2, 4 * d + 3)
        expected = spec.divide(n, d, rule)
        rounded = round_quotient(n, d, rule)
        assert rounded.dtype == np.int64
        assert np.array_equal(rounded, expected)
        if d <= 64:
            one_by_one = [round_quotient(v, d, rule) for v in n.tolist()]
            assert all(type(v) is int for v in one_by_one)
            assert one_by_one == expected.tolist()
            assert round_quotient(n.astype(object), d, rule).tolist() == expected.tolist()


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_every_shift_of_small_integers_as_the_spec_rounds_it(rule: str) -> None:
    n, shifts = np.arange(-130, 131)[:, None], np.arange(9)
    assert np.array_equal(round_quotient(n, 1 << shifts, rule), spec.shift_right(n, shifts, rule))


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("d", [2**62, 2**62 + 1, 2**63 - 1, 2**64, 3 * 2**80])
def test_ties_next_to_the_ends_of_int64_and_beyond(rule: str, d: int) -> None:
    near = [k * d // 2 + offset for k in range(-3, 4) for offset in (-1, 0, 1)]
    values = [*near, -(2**63), 2**63 - 1]
    expected = [FRACTION[rule](Fraction(v, d)) for v in values]
    assert [round_quotient(v, d, rule) for v in values] == expected
    assert round_quotient(np.array(values, object), d, rule).tolist() == expected
    inside = [v for v in values if -(2**63) <= v < 2**63]
    if d < 2**63:
        rounded = round_quotient(np.array(inside, np.int64), d, rule)
        assert rounded.tolist() == [FRACTION[rule](Fraction(v, d)) for v in inside]


def test_an_unknown_rule_is_no_rule() -> None:
    with pytest.raises(KeyError):
        round_quotient(1, 2, "nearest")
