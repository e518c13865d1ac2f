"""Fused multiply-add in float32: one rounding, in compiled code and in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, overload


def fma(a: Any, b: Any, c: Any) -> Any:
    """float32(a * b + c) with a single rounding (to nearest, ties to even), of three float32.

    In compiled code this is the machine's instruction; here it is the same by arithmetic in float64. There a * b is
    exact (48 of 53 bits). The sum is rounded to odd: an inexact sum takes the neighbour whose last bit is one, so that
    it can be no tie of float32. Source: Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008.
    """
    product, addend = float(a) * float(b), float(c)
    total = product + addend
    if not math.isfinite(total):
        return np.float32(total)
    back = total - product
    error = (product - (total - back)) + (addend - back)
    if error != 0 and math.frexp(total)[0] * (1 << 53) % 2 == 0:
        total = math.nextafter(total, math.copysign(math.inf, error))
    return np.float32(total)


@intrinsic
def _llvm_fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """llvm.fma.f32, which never rounds the product; machines without the instruction call C's fmaf."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@overload(fma)
def _fma(a: Any, b: Any, c: Any) -> Callable[..., Any] | None:
    if not a == b == c == types.float32:
        return None

    def compiled(a: Any, b: Any, c: Any) -> Any:
        return _llvm_fma(a, b, c)

    return compiled
