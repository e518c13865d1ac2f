from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from tests import cases
from tests.spec.second import FRACTION, clipped


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("shift", [0, 1, 3, 8, 24])
def test_against_fractions(rule: str, shift: int) -> None:
    """Every 12-bit accumulator, with slopes at and beside 0 and 1, negative, and large enough to leave the range."""
    acc = np.arange(-2048, 2048)
    slopes = cases.slopes(shift)
    got = spec.leaky_relu(np.tile(acc, (len(slopes), 1)), slope=slopes, shift=shift, rounding=rule, width=12, axis=0)
    for row, slope in zip(got.tolist(), slopes, strict=True):
        exact = [a if a >= 0 else FRACTION[rule](Fraction(a * slope, 2**shift)) for a in acc.tolist()]
        assert row == [clipped(v, 12, True) for v in exact]


def test_by_hand() -> None:
    given: dict[str, Any] = {"slope": 1, "shift": 1, "width": 8}
    assert spec.leaky_relu([-3, -1, 0, 3], rounding="half_up", **given).tolist() == [-1, 0, 0, 3]
    assert spec.leaky_relu([-3, -1, 0, 3], rounding="half_away", **given).tolist() == [-2, -1, 0, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift": 25}, "shift must be an integer within 0 to 24, not 25"),
        ({"slope": 2**31}, "slope must be an integer within -2147483648 to 2147483647"),
        ({"rounding": "up"}, "rounding must be one of"),
        ({"width": 65}, "bits must be an integer within 1 to 64, not 65"),
    ],
)
def test_outside_the_domain(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.leaky_relu(-5, **{"slope": 1, "shift": 1, "rounding": "floor", "width": 8, **changes})
