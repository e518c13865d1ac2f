"""TOSA's RESCALE: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import INT32, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.requantize import widen
from intsim.kernels.saturate import clamp, wrap


def requantize_tosa(
    acc: Array,
    *,
    multiplier: Any,
    shift: Any,
    double_rounding: bool = False,
    multiplier_bits: int = 32,
    input_zero_point: int = 0,
    zero_point: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(((v * multiplier + r) >> shift) + zero_point), v = acc - input_zero_point, r = 2**(shift - 1); with
    double_rounding and shift > 31 also r += 2**30 where v >= 0, r -= 2**30 where v < 0.
    acc: integers. multiplier: 0 to 2**(multiplier_bits - 1) - 1; shift: 2 to 62; both and zero_point scalar or
    [channels] along axis. Raises ValueError outside that, and where the data break a REQUIRE of the standard.
    Source: tosa-specification, pseudocode/library/scale_helpers.tosac, operators/RESCALE.tosac.
    """
    if multiplier_bits not in (16, 32) or (double_rounding and multiplier_bits == 16):
        raise ValueError(f"multiplier_bits must be 32, or 16 without double_rounding, not {multiplier_bits!r}")
    shifts = parameter(shift, 2, 62, "shift")
    # the values that REQUIRE allows: 32 bits and below half of 2**shift, or 48 bits
    bound = np.minimum(np.int64(1) << (shifts - 1), 1 << 31) if multiplier_bits == 32 else np.full_like(shifts, 1 << 47)
    nudges = np.where(double_rounding & (shifts > 31), 1 << 30, 0)
    parameters = (
        parameter(multiplier, 0, (1 << (multiplier_bits - 1)) - 1, "multiplier"),
        shifts,
        bound,
        nudges,
        parameter(input_zero_point, *INT32, "input_zero_point"),
        per_channel(zero_point),
    )
    return run(
        _rows,
        widen(acc),
        parameters,
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
        refused="acc - input_zero_point, the shifted product and its sum with zero_point must be in TOSA's ranges",
    )


@kernel
def _rows(
    acc: Any,
    multipliers: Any,
    shifts: Any,
    bounds: Any,
    nudges: Any,
    input_zeros: Any,
    zeros: Any,
    low: Any,
    high: Any,
    out: Any,
    outside: Any,
    start: Any,
    stop: Any,
) -> None:
    inner = acc.shape[1]
    for row in range(start, stop):
        c = row % zeros.shape[0]
        multiplier, shift, bound, nudge = multipliers[c], shifts[c], bounds[c], nudges[c]
        zero, input_zero = zeros[c], input_zeros[c]
        least, most = input_zero - bound, input_zero + bound - 1
        half = np.int64(1) << (shift - 1)
        first_outside = inner
        for i in range(inner):
            # what is refused must not overflow on its way: that is undefined in compiled code
            inside = (acc[row, i] >= least) & (acc[row, i] <= most)
            v = clamp(np.int64(acc[row, i]), least, most) - input_zero
            scaled = (v * multiplier + half + (nudge if v >= 0 else -nudge)) >> shift
            total = scaled + zero
            fits = (scaled == wrap(scaled, 32)) & (total == wrap(total, 32)) & inside
            first_outside = min(first_outside, inner if fits else i)
            out[row, i] = clamp(total, low, high)
        outside[row] = first_outside
