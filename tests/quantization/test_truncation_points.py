from __future__ import annotations

from fractions import Fraction

import pytest

from intsim.errors import UnusableInput
from intsim.quantization.truncation_points import exact_momentum, moving_average, nearest

TENTH = Fraction(1, 10)

# delta_n and the average after it, by hand: EMA_n = 0.1 delta_n + 0.9 EMA_(n-1).
SERIES = ((8, "8"), (8, "8"), (9, "8.1"), (9, "8.19"), (7, "8.071"), (-3, "6.9639"), (0, "6.26751"))


@pytest.mark.parametrize("length", range(1, len(SERIES) + 1))
def test_average_by_hand(length: int) -> None:
    deltas = [delta for delta, _ in SERIES[:length]]
    assert moving_average(deltas, TENTH) == Fraction(SERIES[length - 1][1])


def test_the_first_batch_starts_the_average() -> None:
    assert moving_average([5], TENTH) == 5  # not 0.1 * 5
    assert moving_average([5, 5, 5, 5], Fraction(1, 3)) == 5


def test_momentum_one_keeps_the_last_batch_only() -> None:
    assert moving_average([3, -7, 11], Fraction(1)) == 11


def test_mutant_on_the_previous_delta_is_caught() -> None:
    """The paper's printed formula has delta_(n-1) where EMA_(n-1) belongs: it forgets all but two batches."""

    def mutant(deltas: list[int], m: Fraction) -> Fraction:
        return m * deltas[-1] + (1 - m) * deltas[-2]

    deltas = [delta for delta, _ in SERIES[:5]]
    assert mutant(deltas, TENTH) == Fraction("8.8")
    assert moving_average(deltas, TENTH) == Fraction("8.071")
    assert nearest(mutant(deltas, TENTH)) != nearest(moving_average(deltas, TENTH))


def test_nearest_has_ties_to_plus_infinity() -> None:
    tie = moving_average([0, 5], TENTH)
    assert tie == Fraction(1, 2)
    assert nearest(tie) == 1
    assert nearest(-tie) == 0
    assert nearest(Fraction(-3, 2)) == -1
    assert [nearest(Fraction(n, 10)) for n in (-15, -14, 4, 5, 14, 15)] == [-1, -1, 0, 1, 1, 2]


def test_momentum_is_the_decimal_that_was_written() -> None:
    assert exact_momentum(0.1) == TENTH  # not the float64 nearest to it
    assert exact_momentum(1) == 1
    for wrong in (0.0, -0.1, 1.5, float("nan")):
        with pytest.raises(UnusableInput, match="momentum must be above 0 and at most 1"):
            exact_momentum(wrong)


def test_many_batches_stay_exact() -> None:
    deltas = [7 + n % 3 for n in range(500)]
    slow = Fraction(deltas[0])
    for delta in deltas[1:]:
        slow = TENTH * delta + (1 - TENTH) * slow
    assert moving_average(deltas, TENTH) == slow
