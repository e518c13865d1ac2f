"""The output truncation point (OTP) of a layer: the right shift from its accumulator to its output.

Source: the DiffQuant paper, equation (24), read as an exponential moving average of itself. The paper prints
delta_(n-1) in the place of EMA_(n-1), which would forget all but the last two batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from intsim.errors import UnusableInput
from intsim.formats import round_quotient


def moving_average(deltas: Sequence[int], momentum: Fraction) -> Fraction:
    """EMA_0 = delta_0, EMA_n = m * delta_n + (1 - m) * EMA_(n-1); the last EMA, exact.

    deltas: one integer a batch, in file order, at least one.
    """
    # EMA_n = numerator / denominator; reduced once, at the end, because reducing costs more than the sums.
    step, whole = momentum.numerator, momentum.denominator
    numerator, denominator = deltas[0], 1
    for delta in deltas[1:]:
        numerator = step * delta * denominator + (whole - step) * numerator
        denominator *= whole
    return Fraction(numerator, denominator)


def nearest(average: Fraction) -> int:
    """The nearest integer, ties toward +inf: floor(average + 1/2)."""
    return round_quotient(*average.as_integer_ratio(), "half_up")


def exact_momentum(momentum: float) -> Fraction:
    """The momentum as the decimal that was written: 0.1 is 1/10. Errors: UnusableInput outside 0 < m <= 1."""
    if not 0 < momentum <= 1:
        raise UnusableInput(f"momentum must be above 0 and at most 1, not {momentum!r}")
    return Fraction(repr(float(momentum)))
