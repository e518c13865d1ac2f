"""The shared exponent of a tensor: one integer e, so that real = code * 2**e.

Source: the DiffQuant paper's integer-shared-exponent type, with exponents where it writes fraction bits
(fraction bits = -e).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.formats import round_quotient, storage_dtype

Array = np.ndarray[Any, Any]

REACH = 3
"""The candidates lie up to that many steps from the reference exponent."""

LOWEST, HIGHEST = -126, 127
"""The exponents e for which 2**e is a normal float32, as the scale of a tensor must be."""


def reference_exponent(largest: float, bits: int) -> int:
    """The smallest e at which the signed code range still reaches `largest` = max|r|; 0 for an all-zero tensor.

    e0 = -floor(log2((2**(bits-1) - 1) / largest)), by frexp and comparisons only: no float logarithm is near an
    integer by accident. bits: 2 or more. Errors: OutOfDomain for a negative or non-finite `largest`.
    """
    if not (math.isfinite(largest) and largest >= 0):
        raise OutOfDomain(f"the largest magnitude of a tensor must be finite and not negative, not {largest!r}")
    if largest == 0:
        return 0
    # largest <= high * 2**e  <=>  m * 2**k <= h * 2**(j + e), with m and h in [0.5, 1)
    m, k = math.frexp(largest)
    h, j = math.frexp((1 << (bits - 1)) - 1)
    return k - j + int(m > h)


def candidate_exponents(reference: int) -> range:
    """The exponents that are tried, in ascending order: reference - 3 … reference + 3."""
    return range(reference - REACH, reference + REACH + 1)


def best_exponent(errors: dict[int, float]) -> int:
    """The exponent with the least error; the smaller exponent where errors are equal."""
    return min(errors, key=lambda e: (errors[e], e))


def quantize(reals: Array, exponent: int, bits: int) -> Array:
    """The codes of reals: clip(half_up(r / 2**exponent)) in the signed range of `bits` bits.

    reals: float32[...]. Result: the smallest signed dtype that holds the codes, [...]. The quotient is exact in
    float64, and so is its floor after one half is added (a float32 has 29 bits less).
    """
    codes = np.floor(np.ldexp(np.asarray(reals, np.float64), -exponent) + 0.5)
    high = (1 << (bits - 1)) - 1
    return np.clip(codes, -high - 1, high).astype(storage_dtype(bits, True))


def bound_code(bound: float, exponent: int, bits: int) -> int:
    """The code of a Relu's or Clip's bound: clip(half_up(bound / 2**exponent)); ±inf is the end of the range."""
    high = (1 << (bits - 1)) - 1
    if math.isinf(bound):
        return high if bound > 0 else -high - 1
    code = round_quotient(*(Fraction(bound) / Fraction(2) ** exponent).as_integer_ratio(), "half_up")
    return min(max(code, -high - 1), high)


def check_exponent(exponent: int, name: str) -> int:
    """The exponent, if 2**exponent is a normal float32. Errors: OutOfDomain names the tensor."""
    if not LOWEST <= exponent <= HIGHEST:
        what = "small" if exponent < LOWEST else "large"
        raise OutOfDomain(
            f"tensor {name!r}: values so {what} that its scale would be 2**{exponent}, which is no normal float32 "
            f"({LOWEST} to {HIGHEST}); set them to zero or rescale the layer"
        )
    return exponent
