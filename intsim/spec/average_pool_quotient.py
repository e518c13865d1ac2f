"""The mean of each window at any scales, with one exact quotient."""

from __future__ import annotations

import functools

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import INT64, Integers, add, as_integers, multiply, result
from intsim.spec.mean import rounded_mean
from intsim.spec.operands import centred
from intsim.spec.windows import pooling


def average_pool_quotient(
    x: npt.ArrayLike,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    x_zero: int = 0,
    factor: int,
    divisor: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round(sum over the window of (x - x_zero) * factor / (count * divisor)) + zero_point).

    factor, divisor: positive integers; the other arguments, the count and the padding are those of `average_pool`.
    Returns i64[N, C, *output]. Raises OutOfDomain. Source: the project's choice where a target defines no mean; with
    factor = area * m and divisor = 2**k the mean by a multiplier and a shift, as Xilinx/Vitis-AI's
    pytorch_nndct/nn/modules/avgpool.py simulates the DPU's.
    """
    codes = centred(x, x_zero, "x")
    layout = pooling(codes, kernel, strides, dilations, pads, ceil_mode)
    total = functools.reduce(add, (tap for _, tap in layout.taps(layout.padded(codes, 0))))
    count = layout.counts(checks.flag(count_include_pad, "count_include_pad"))
    m = result(checks.integer(factor, 1, INT64[1], "factor"))
    d = result(checks.integer(divisor, 1, INT64[1], "divisor"))
    counts = multiply(as_integers(count, "count"), d)
    return rounded_mean(multiply(total, m), counts, 0, rounding, zero_point, bits, signed, narrow)
