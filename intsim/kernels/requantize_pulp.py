"""Deeploy's RequantShift for PULP: from the accumulator to the output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, per_channel
from intsim.kernels.multiplied import INT32, int32_sums, parameter, run
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.saturate import clamp, wrap


def requantize_pulp(
    acc: Array,
    *,
    multiplier: Any,
    addend: Any = 0,
    shift: Any,
    rounding: str = "half_up",
    overflow: str = "wrap",
    input_offset: int = 0,
    zero_point: Any = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip((int32((acc + input_offset) * multiplier + addend + half) >> shift) + zero_point), where half is 0 for
    rounding="floor"; int32 wraps, or with overflow="trap" raises ValueError for what does not fit.
    acc: integers, each an int32. multiplier, addend, input_offset: int32; shift: 0 to 31; all but input_offset, and
    zero_point too, scalar or [channels] along axis. Source: Deeploy, TargetLibraries/Generic/src/RequantShift_s8.c.
    """
    if rounding not in ("half_up", "floor") or overflow not in ("wrap", "trap"):
        raise ValueError(f"rounding must be half_up or floor, overflow wrap or trap, not {rounding!r}, {overflow!r}")
    shifts = parameter(shift, 0, 31, "shift")
    half = (np.int64(1) << shifts) >> 1 if rounding == "half_up" else np.zeros_like(shifts)
    parameters = (
        parameter(input_offset, *INT32, "input_offset"),
        parameter(multiplier, *INT32, "multiplier"),
        parameter(addend, *INT32, "addend"),
        half,
        shifts,
        per_channel(zero_point),
        np.array([overflow == "trap"]),
    )
    return run(
        _rows,
        int32_sums(acc),
        parameters,
        bits=bits,
        signed=signed,
        narrow=narrow,
        axis=axis,
        pool=pool,
        refused="every value before the shift must be an int32",
    )


@kernel
def _rows(
    acc: Any,
    offsets: Any,
    multipliers: Any,
    addends: Any,
    halves: Any,
    shifts: Any,
    zeros: Any,
    traps: Any,
    low: Any,
    high: Any,
    out: Any,
    outside: Any,
    start: Any,
    stop: Any,
) -> None:
    """Every intermediate value is kept to its lowest 32 bits, so that none leaves int64."""
    inner = acc.shape[1]
    for row in range(start, stop):
        c = row % shifts.shape[0]
        offset, multiplier, shift, zero = offsets[c], multipliers[c], shifts[c], zeros[c]
        addend, half, trap = addends[c], halves[c], traps[c]
        first_outside = inner
        for i in range(inner):
            centred = np.int64(acc[row, i]) + offset
            product = wrap(centred, 32) * multiplier
            total = wrap(product, 32) + addend
            rounded = wrap(total, 32) + half
            kept = wrap(rounded, 32)
            fits = (centred == wrap(centred, 32)) & (product == wrap(product, 32))
            fits &= (total == wrap(total, 32)) & (rounded == kept)
            first_outside = min(first_outside, i if trap & (not fits) else inner)
            out[row, i] = clamp((kept >> shift) + zero, low, high)
        outside[row] = first_outside
