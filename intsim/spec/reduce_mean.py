"""The mean over axes, where scales are powers of two."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec.integers import Integers
from intsim.spec.mean import rounded_mean
from intsim.spec.operands import centred
from intsim.spec.reduce import reduced_sum


def reduce_mean(
    x: npt.ArrayLike,
    *,
    axes: tuple[int, ...],
    keepdims: bool,
    x_zero: int = 0,
    shift: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round(sum over axes of (x - x_zero) / (n * 2**shift)) + zero_point), n elements in each sum.

    One exact quotient, one rounding. x: int[...]. axes: distinct, may count from the end; keepdims: they stay, with
    length 1. shift: int, of any sign. rounding: one of intsim.formats.ROUNDINGS; bits, signed, narrow: the output
    format. Returns i64. Raises OutOfDomain, also for a sum of no elements. Source: ONNX's ReduceMean.
    """
    total, count = reduced_sum(centred(x, x_zero, "x"), axes, keepdims)
    return rounded_mean(total, count, shift, rounding, zero_point, bits, signed, narrow)
