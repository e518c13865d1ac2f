"""Fused multiply-add in float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec.float32 import Float32

Float64 = npt.NDArray[np.float64]


@standard_floats()
def fma(a: Float32, b: Float32, c: Float32) -> Float32:
    """a * b + c, exact and then rounded once to float32, ties to even (IEEE 754-2019, fusedMultiplyAdd).

    a, b, c: finite float32[...], broadcast. The product of two 24-bit significands is exact in float64; the sum is
    rounded to odd there, which keeps what the last rounding needs to know (S. Boldo, G. Melquiond, "Emulation of FMA
    and correctly rounded sums", 2008: 53 bits are more than 24 + 2).
    """
    product = a.astype(np.float64) * b.astype(np.float64)
    addend = c.astype(np.float64)
    total = np.asarray(product + addend)
    error = _error(product, addend, total)
    even = total.view(np.int64) & 1 == 0
    odd = np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)
    with np.errstate(over="ignore"):
        return odd.astype(np.float32)


def _error(a: Float64, b: Float64, total: Float64) -> Float64:
    """What a + b lost when it was rounded to `total`, exactly (Knuth's two-sum)."""
    virtual = total - a
    return np.asarray((a - (total - virtual)) + (b - virtual))
