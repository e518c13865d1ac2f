"""One exact quotient by any scale: a sum to an output code."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, add, as_integers, multiply, result
from intsim.spec.rounding import divide
from intsim.spec.saturate import saturate


def requantize_quotient(
    acc: npt.ArrayLike,
    *,
    factor: int,
    divisor: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round(acc * factor / divisor) + zero_point): one exact quotient, one rounding.

    acc: int[...]. factor, divisor: positive integers; the ratio of two float32 scales is one of these. rounding: one of
    intsim.formats.ROUNDINGS; bits, signed, narrow: the output format. Returns i64. Raises OutOfDomain.
    Source: the project's choice where a target's public sources define no arithmetic.
    """
    acc = as_integers(acc, "acc")
    low, high = checks.code_range(bits, signed, narrow)
    m = result(checks.integer(factor, 1, INT64[1], "factor"))
    d = result(checks.integer(divisor, 1, INT64[1], "divisor"))
    zero = result(checks.integer(zero_point, low, high, "zero_point"))
    return saturate(add(divide(multiply(acc, m), d, rounding), zero), bits, signed, narrow)
