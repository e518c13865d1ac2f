"""Requantization by a shift: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.rounding import MAX_SHIFT, fold, shift_right, shift_terms
from intsim.kernels.saturate import code_dtype, limits, to_int64


def requantize(
    acc: Array,
    *,
    shift: Any,
    rounding: str,
    zero_point: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(round(acc / 2**shift) + zero_point); shift <= 0 shifts left exactly.
    acc: integers of up to 64 bits. shift, zero_point: scalar or [channels] along axis. rounding: a name of RULES.
    Raises ValueError for 64 unsigned bits (the kernels compute in int64).
    """
    shifts, zeros = per_channel(shift), per_channel(zero_point)
    rows, (shifts, zeros) = channel_rows(widen(acc), axis, shifts, zeros)
    excess = np.maximum(shifts - MAX_SHIFT, 0)
    if excess.any():
        rows = fold(rows.astype(np.int64), np.resize(excess, (len(rows), 1)))
    low, high = limits(bits, signed, narrow)
    right = np.clip(shifts, 0, MAX_SHIFT)
    terms = np.array([shift_terms(rounding, int(s)) for s in right], np.int64)
    left = np.maximum(-shifts, 0)
    window = np.array([_window(low, high, int(z), int(k)) for z, k in zip(zeros, left, strict=True)], np.int64)
    left = np.minimum(left, 63)
    out = np.empty(rows.shape, code_dtype(bits, signed))
    pool(
        lambda start, stop: _rows(rows, right, terms, left, window, zeros, low, high, out, start, stop),
        len(rows),
    )
    return out.reshape(acc.shape)


def widen(acc: Array) -> Array:
    """acc in int32 or int64, so that the loop is compiled for two input dtypes and not for eight."""
    if acc.dtype == np.uint64:
        if acc.size and acc.max() > np.iinfo(np.int64).max:
            raise ValueError("accumulators of uint64 above the range of int64: use the spec")
        return acc.astype(np.int64)
    return acc.astype(np.int32 if np.can_cast(acc.dtype, np.int32) else np.int64, copy=False)


def _window(low: int, high: int, zero: int, left: int) -> tuple[int, int]:
    """The least and the greatest v with low <= (v << left) + zero <= high, within int64."""
    return to_int64(-((zero - low) >> left)), to_int64((high - zero) >> left)


@kernel
def _rows(
    acc: Any,
    right: Any,
    terms: Any,
    left: Any,
    window: Any,
    zeros: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    """Rows [start, stop): the sum with the zero point is only made where it is a code, so it cannot leave int64."""
    for row in range(start, stop):
        c = row % right.shape[0]
        shift, up, zero = right[c], left[c], zeros[c]
        always, negative, odd = terms[c, 0], terms[c, 1], terms[c, 2]
        least, most = window[c, 0], window[c, 1]
        for i in range(acc.shape[1]):
            v = shift_right(np.int64(acc[row, i]), shift, always, negative, odd)
            out[row, i] = low if v < least else high if v > most else (v << up) + zero
