from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim.kernels.carriers.step_errors import step_errors

pytestmark = pytest.mark.nojit


def exactly(v: Any, half: float, k: int, bits: int, lowest: float, highest: float) -> Fraction:
    """The sum of squared errors on exact numbers."""
    high, total, unit = (1 << (bits - 1)) - 1, Fraction(0), Fraction(2) ** k
    for number in v.tolist():
        r = Fraction(min(max(number - half, lowest), highest))
        total += (r - min(max(math.floor(r / unit + Fraction(1, 2)), -high - 1), high) * unit) ** 2
    return total


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 200])
@pytest.mark.parametrize(
    ("half", "step", "bits", "lowest", "highest"),
    [
        (0.5, 0, 8, -math.inf, math.inf),
        (0.0, 2, 4, 0.0, math.inf),
        (0.5, -2, 2, 0.0, 6.0),
        (0.5, 1, 16, 2.0, 3.0),
    ],
)
def test_the_errors_of_three_exponents(
    count: int, half: float, step: int, bits: int, lowest: float, highest: float
) -> None:
    # Eighths, so that every square and sum is exact in float32.
    v = np.random.default_rng(count).integers(-99, 99, count).astype(np.float32) / 8
    for dtype in (np.float32, np.float64):
        found = step_errors(v.astype(dtype), half, step, bits, lowest, highest)
        assert found == tuple(exactly(v, half, step + k, bits, lowest, highest) for k in (-1, 0, 1))
