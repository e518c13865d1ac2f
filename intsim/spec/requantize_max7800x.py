"""The MAX78000's and MAX78002's requantizer: accumulator to output code."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add, as_integers, shift_left
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def requantize_max7800x(
    acc: npt.ArrayLike,
    *,
    output_shift: npt.ArrayLike,
    bias: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_up((acc + bias * 2**7) / 2**(7 - output_shift))); output_shift counts to the LEFT.

    acc: int32[N, C, ...], the sum of products alone. output_shift: -15 to 15; bias: int8; each int, [C] along `axis`,
    or an array that broadcasts. bits (1 to 32; the hardware's are 8), signed, narrow: the output format. From an
    output_shift of 7 on nothing is rounded. Returns i64 of acc's shape. Raises OutOfDomain.
    Source: analogdevicesinc/ai8x-synthesis, izer/simulate.py, conv2d_layer: floor(0.5 + sum / (128 / 2.0**shift)), in
    float64 and so exact for int32, and bias * BIAS_DIV, which is 128 (izer/tornadocnn.py); the range of output_shift is
    that of izer/backend/max7800x.py. Activations come after the clip.
    """
    acc = as_integers(acc, "acc")
    checks.requantized_range(bits, signed, narrow)
    checks.within(acc, *checks.INT32, "acc")
    amount = checks.channelwise(output_shift, axis, acc.shape, -15, 15, "output_shift")
    addend = checks.channelwise(bias, axis, acc.shape, -128, 127, "bias")
    total = add(acc, shift_left(addend, as_integers(7, "shift")))
    return saturate(shift_right(total, 7 - amount, "half_up"), bits, signed, narrow)
