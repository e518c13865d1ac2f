"""Operands without their zero points, and brought to one exponent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, as_integers, result, shift_left, subtract
from intsim.spec.rounding import LONGEST_SHIFT


def centred(x: npt.ArrayLike, zero: int, name: str) -> Integers:
    """x - zero, exactly."""
    return subtract(as_integers(x, name), result(checks.integer(zero, *INT64, f"{name}_zero")))


def aligned(
    a: npt.ArrayLike, b: npt.ArrayLike, a_shift: int, b_shift: int, a_zero: int, b_zero: int
) -> tuple[Integers, Integers]:
    """(a - a_zero) << a_shift and (b - b_zero) << b_shift, exactly. Raises OutOfDomain."""
    left, right = centred(a, a_zero, "a"), centred(b, b_zero, "b")
    broadcastable(left, right)
    return (
        shift_left(left, result(checks.integer(a_shift, 0, LONGEST_SHIFT, "a_shift"))),
        shift_left(right, result(checks.integer(b_shift, 0, LONGEST_SHIFT, "b_shift"))),
    )


def broadcastable(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> tuple[int, ...]:
    """The shape to which both broadcast. Raises OutOfDomain."""
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise OutOfDomain(f"a and b must broadcast, not shapes {a.shape} and {b.shape}") from None
