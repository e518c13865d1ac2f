from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.second import FRACTION, clipped, window_elements

X = np.random.default_rng(4).integers(-128, 128, (2, 2, 6, 5))
WINDOW: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 0, 1, 1), "dilations": (1, 2)}
OUT: dict[str, Any] = {"zero_point": 4, "bits": 8, "signed": True}


@pytest.mark.parametrize("rule", ["half_up", "half_even", "half_away", "floor"])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize(("factor", "divisor"), [(1, 1), (63, 64), (5, 3)])
def test_every_window(rule: str, include: bool, factor: int, divisor: int) -> None:
    codes = spec.average_pool_quotient(
        X, **WINDOW, **OUT, count_include_pad=include, x_zero=3, factor=factor, divisor=divisor, rounding=rule
    )
    for at, code in np.ndenumerate(codes):
        elements, places = window_elements(X, at, **WINDOW)
        total = sum(v - 3 for v in elements) * factor
        exact = Fraction(total, (places if include else len(elements)) * divisor)
        assert code == clipped(FRACTION[rule](exact) + 4, 8, True)


def test_one_is_average_pool() -> None:
    plain = spec.average_pool(X, **WINDOW, **OUT, shift=-3, rounding="half_even")
    scaled = spec.average_pool_quotient(X, **WINDOW, **OUT, factor=8, divisor=1, rounding="half_even")
    assert np.array_equal(plain, scaled)


@pytest.mark.parametrize("wrong", [{"factor": 0}, {"divisor": 0}])
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OutOfDomain, match=f"{next(iter(wrong))} must be"):
        spec.average_pool_quotient(X, **WINDOW, **OUT, **{"factor": 1, "divisor": 1, **wrong}, rounding="half_up")
