"""The ranges of codes, and what happens at their ends."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array

INT64_LOW, INT64_HIGH = -(1 << 63), (1 << 63) - 1


def limits(bits: int, signed: bool, narrow: bool = False) -> tuple[int, int]:
    """The lowest and the highest code. The kernels compute in int64, so 64 unsigned bits are a ValueError."""
    if not 1 <= bits <= 64 - (not signed):
        raise ValueError(f"kernels hold 1 to {64 - (not signed)} {'' if signed else 'un'}signed bits, not {bits!r}")
    high = (1 << (bits - signed)) - 1
    return (-high - 1 + narrow if signed else 0), high


def float_limits(
    bits: int, signed: bool, narrow: bool = False, zeros: Array | None = None
) -> tuple[Array, Array, Array]:
    """low - zero and high - zero as float32[channels], and the zeros; exact, so ValueError for more than 24 bits."""
    if bits > 24:
        raise ValueError(f"float32 holds codes of at most 24 bits, not {bits!r}")
    zeros = np.zeros(1, np.int64) if zeros is None else zeros
    low, high = limits(bits, signed, narrow)
    return (low - zeros).astype(np.float32), (high - zeros).astype(np.float32), zeros


def code_dtype(bits: int, signed: bool) -> np.dtype[Any]:
    """The smallest of NumPy's integer dtypes with at least `bits` bits."""
    width = next(width for width in (8, 16, 32, 64) if bits <= width)
    return np.dtype(f"{'' if signed else 'u'}int{width}")


def accumulator_dtype(bits: int) -> np.dtype[Any]:
    """The dtype of accumulators of `bits` bits: int32 up to 32, int64 above."""
    return np.dtype(np.int32 if bits <= 32 else np.int64)


def to_int64(value: int) -> int:
    """The int64 nearest to a Python integer."""
    return min(max(value, INT64_LOW), INT64_HIGH)


@kernel
def wrap(v: Any, bits: Any) -> Any:
    """The signed value of `bits` bits that equals the int64 v modulo 2**bits (two's complement)."""
    unused = np.int64(64) - bits
    return (v << unused) >> unused


@kernel
def clamp(v: Any, low: Any, high: Any) -> Any:
    """min(max(v, low), high)."""
    return min(max(v, low), high)


@kernel
def round_saturate(f: Any, low: Any, high: Any) -> Any:
    """min(max(half_even(f), low), high); low from 2**31 on, of which x86's CVTPS2DQ makes -2**31."""
    whole = np.rint(f)
    return np.int64(low if whole >= np.float32(2147483648.0) else clamp(whole, low, high))
