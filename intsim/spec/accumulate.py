"""What an accumulator does with a sum of products: the part that convolution and matrix product share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from intsim.errors import AccumulatorOverflow
from intsim.formats import OVERFLOWS
from intsim.spec import checks
from intsim.spec.integers import Integers, add, bounds, dtype_for, result
from intsim.spec.saturate import saturate, wrap

Booleans = npt.NDArray[np.bool_]


def accumulate(
    total: Callable[[], Integers],
    addends: Callable[[], Iterable[Integers]],
    largest: int,
    bits: int,
    overflow: str,
) -> tuple[Integers, Booleans]:
    """The accumulator after all additions, and where it left its range.

    total: the exact sum. addends: the same sum's terms in MAC order. largest: a bound of the sum of all terms'
    magnitudes. wrap and trap look at the exact sum (wrapping after each addition gives the same); saturate clamps
    after each addition. Raises AccumulatorOverflow (trap) with the first coordinate and value, OutOfDomain.
    """
    low, high = checks.code_range(bits, True)
    checks.one_of(overflow, OVERFLOWS, "overflow")
    if overflow == "saturate" and not low <= -largest <= largest <= high:
        return _saturating(addends(), bits)
    acc = total()
    overflowed = np.asarray((acc < low) | (acc > high), np.bool_)
    if overflow == "trap" and overflowed.any():
        at = tuple(int(i) for i in np.argwhere(overflowed)[0])
        raise AccumulatorOverflow(
            f"accumulator must be within {low} to {high} ({bits} bits), not {int(acc[at])} at {at}; "
            "give it more bits or another overflow rule"
        )
    return wrap(acc, bits, True), overflowed


def magnitude(values: Integers) -> int:
    """The largest |value|."""
    return max(map(abs, bounds(values)))


def largest_sum(values: Integers, axes: tuple[int, ...]) -> int:
    """The largest sum of |values| over the axes."""
    count = int(np.prod([values.shape[axis] for axis in axes]))
    wide = values.astype(dtype_for(-magnitude(values) * count, magnitude(values) * count))
    return int(np.abs(wide).sum(axes).max(initial=0))


def carrier(largest: int) -> np.dtype[np.generic]:
    """The dtype in which sums of terms whose magnitudes add up to `largest` are exact, in any order.

    float64 (so that BLAS can do the work) is one only where every partial sum is an integer below 2**53 in
    magnitude, hence exact; then int64; then object.
    """
    if largest < 2**53:
        return np.dtype(np.float64)
    return np.dtype(np.int64 if largest < 2**63 else object)


def _saturating(addends: Iterable[Integers], bits: int) -> tuple[Integers, Booleans]:
    acc = result(0)
    overflowed = np.zeros((), np.bool_)
    for addend in addends:
        exact = add(acc, addend)
        acc = saturate(exact, bits, True)
        overflowed = overflowed | (acc != exact)
    return acc, np.asarray(overflowed, np.bool_)
