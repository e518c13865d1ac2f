"""The mean over axes, one exact quotient and one rounding."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, contiguous
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.rounding import RULES, divide, require_quotient
from intsim.kernels.saturate import clamp, code_dtype, limits


def reduce_mean(
    x: Array,
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
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits; the axes are left out, or of length 1 with keepdims.

    clip(round(sum(x - x_zero) / (n * 2**shift)) + zero_point), one exact quotient; n: the elements of one mean.
    x: integer codes. rounding: a name of RULES. Raises ValueError where int64 does not hold the terms of the quotient.
    """
    sums, shape = sums_over(x, axes, keepdims, x_zero, pool)
    count = prod(x.shape[a] for a in axes)
    require_quotient(extremes(x, x_zero), (count,), shift)
    low, high = limits(bits, signed, narrow)
    out = np.empty(sums.shape, code_dtype(bits, signed))
    parameters = (sums << max(-shift, 0), count << max(shift, 0), RULES[rounding], zero_point, low, high, out)
    pool(lambda start, stop: _quotients(*parameters, start, stop), len(out))
    return out.reshape(shape)


def sums_over(
    x: Array, axes: tuple[int, ...], keepdims: bool, x_zero: int, pool: Sharing
) -> tuple[Array, tuple[int, ...]]:
    """The sums of x - x_zero over axes, int64 and flat, and their shape."""
    rows, shape = rows_over(x, axes, keepdims)
    sums = np.empty(len(rows), np.int64)
    pool(lambda start, stop: _sums(rows, x_zero, sums, start, stop), len(rows))
    return sums, shape


def rows_over(x: Array, axes: tuple[int, ...], keepdims: bool) -> tuple[Array, tuple[int, ...]]:
    """x with what is reduced over axes as the rows of a matrix, and the shape of the reductions."""
    axes = tuple(a % x.ndim for a in axes)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    rows = contiguous(x.transpose(*kept, *axes)).reshape(prod(x.shape[a] for a in kept), -1)
    return rows, tuple(1 if a in axes else x.shape[a] for a in (range(x.ndim) if keepdims else kept))


@kernel
def _sums(x: Any, x_zero: Any, sums: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        total = np.int64(0)
        for i in range(x.shape[1]):
            total += np.int64(x[row, i]) - x_zero
        sums[row] = total


@kernel
def _quotients(n: Any, d: Any, rule: Any, zero: Any, low: Any, high: Any, out: Any, start: Any, stop: Any) -> None:
    for i in range(start, stop):
        out[i] = clamp(divide(n[i], d, rule) + zero, low, high)
