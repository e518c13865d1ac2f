"""The mean of each window, where scales are powers of two."""

from __future__ import annotations

import functools

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, add
from intsim.spec.mean import rounded_mean
from intsim.spec.operands import centred
from intsim.spec.windows import pooling


def average_pool(
    x: npt.ArrayLike,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    x_zero: int = 0,
    shift: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(round(sum over the window of (x - x_zero) / (count * 2**shift)) + zero_point).

    One exact quotient, one rounding. Padding adds 0 to the sum; count is the number of the window's elements in the
    image, or, with count_include_pad, in the image and its padding (never beyond it, where ceil_mode may reach).
    x: int[N, C, *spatial]. pads: before each spatial axis, then after each. shift: int, of any sign.
    rounding: one of intsim.formats.ROUNDINGS; bits, signed, narrow: the output format. Returns i64[N, C, *output].
    Raises OutOfDomain, also for a window without any element of the image. Source: ONNX's AveragePool (opset 19).
    """
    codes = centred(x, x_zero, "x")
    layout = pooling(codes, kernel, strides, dilations, pads, ceil_mode)
    total = functools.reduce(add, (tap for _, tap in layout.taps(layout.padded(codes, 0))))
    count = layout.counts(checks.flag(count_include_pad, "count_include_pad"))
    return rounded_mean(total, count, shift, rounding, zero_point, bits, signed, narrow)
