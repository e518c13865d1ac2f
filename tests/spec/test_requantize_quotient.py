from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from tests.spec.second import FRACTION, clipped

SUMS = np.arange(-700, 701)


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize(("factor", "divisor"), [(1, 1), (1, 2), (3, 10), (7, 64), (1 << 40, 3 << 41)])
def test_every_sum(rule: str, factor: int, divisor: int) -> None:
    codes = spec.requantize_quotient(
        SUMS, factor=factor, divisor=divisor, rounding=rule, zero_point=-9, bits=8, signed=True
    )
    expected = [clipped(FRACTION[rule](Fraction(int(v) * factor, divisor)) - 9, 8, True) for v in SUMS]
    assert codes.tolist() == expected


@pytest.mark.parametrize("wrong", [{"factor": 0}, {"divisor": 0}, {"divisor": -2}, {"zero_point": 128}, {"bits": 0}])
def test_what_is_refused(wrong: dict[str, int]) -> None:
    good: dict[str, Any] = {"factor": 1, "divisor": 2, "bits": 8, "zero_point": 0}
    with pytest.raises(OutOfDomain, match=f"{next(iter(wrong))} must be"):
        spec.requantize_quotient(1, **{**good, **wrong}, rounding="half_up", signed=True)
