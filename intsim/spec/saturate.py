"""The two ways to make an integer fit a width: every spec function that must, does it here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, as_integers, bounds, dtype_for, result


def saturate(v: npt.ArrayLike, bits: int, signed: bool, narrow: bool = False) -> Integers:
    """min(max(v, lowest code), highest code).

    v: int[...] or object[...]; bits: 1 to 64; narrow: without the lowest signed code. Returns int64, or object where
    a result does not fit. Raises OutOfDomain.
    """
    v = as_integers(v, "v")
    low, high = checks.code_range(bits, signed, narrow)
    least, greatest = bounds(v)
    dtype = dtype_for(min(low, least), max(high, greatest))
    return result(np.minimum(np.asarray(np.maximum(v.astype(dtype), low), dtype), high))


def wrap(v: npt.ArrayLike, bits: int, signed: bool) -> Integers:
    """The code that equals v modulo 2**bits: what is left of v in `bits` bits of two's complement (or unsigned).

    v: int[...] or object[...]; bits: 1 to 64. Returns int64, or object where a result does not fit. Raises OutOfDomain.
    """
    v = as_integers(v, "v")
    low, high = checks.code_range(bits, signed)
    dtype = np.result_type(v.dtype, dtype_for(low, high - low))
    code = np.asarray(v.astype(dtype) & (high - low), dtype)  # the lowest bits, unsigned
    return result(np.asarray(code ^ -low, dtype) + low)  # then their highest bit counts -2**(bits - 1)
