from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from tests.spec.second import FRACTION, clipped

A, B = np.arange(-128, 128), np.arange(-128, 128, 17)


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize(("a_factor", "b_factor", "divisor"), [(1, 1, 2), (3, -5, 8), (1048576, 524289, 1 << 20)])
def test_pairs_of_codes(rule: str, a_factor: int, b_factor: int, divisor: int) -> None:
    codes = spec.add_quotient(
        A[:, None],
        B,
        a_factor=a_factor,
        b_factor=b_factor,
        a_zero=3,
        b_zero=-128,
        divisor=divisor,
        rounding=rule,
        zero_point=7,
        bits=8,
        signed=True,
    )
    for (i, j), code in np.ndenumerate(codes):
        exact = Fraction((int(A[i]) - 3) * a_factor + (int(B[j]) + 128) * b_factor, divisor)
        assert code == clipped(FRACTION[rule](exact) + 7, 8, True)


def test_what_is_refused() -> None:
    given: dict[str, Any] = {
        "a_factor": 1,
        "b_factor": 1,
        "divisor": 1,
        "rounding": "half_up",
        "bits": 8,
        "signed": True,
    }
    with pytest.raises(OutOfDomain, match="divisor must be"):
        spec.add_quotient(1, 2, **{**given, "divisor": 0})
    with pytest.raises(OutOfDomain, match="must broadcast"):
        spec.add_quotient(np.zeros(3, int), np.zeros(4, int), **given)
