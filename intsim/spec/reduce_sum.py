"""The sum over axes."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers
from intsim.spec.operands import centred
from intsim.spec.reduce import reduced_sum


def reduce_sum(x: npt.ArrayLike, *, axes: tuple[int, ...], keepdims: bool, x_zero: int = 0) -> Integers:
    """Sums over axes of (x - x_zero), exact, each an int32.

    x: int[...]. axes: distinct, may count from the end; keepdims: they stay, with length 1. Returns i64.
    Raises OutOfDomain, also for a sum of no elements or one beyond int32. Source: ONNX's ReduceSum.
    """
    total, _ = reduced_sum(centred(x, x_zero, "x"), axes, keepdims)
    checks.within(total, *checks.INT32, "the sum")
    return total
