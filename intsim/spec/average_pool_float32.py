"""ONNX Runtime's QLinearAveragePool."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import code_range, factor, round_saturate, to_float32
from intsim.spec.integers import Integers
from intsim.spec.operands import centred
from intsim.spec.windows import pooling


@standard_floats()
def average_pool_float32(
    x: npt.ArrayLike,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    x_scale: Any,
    x_zero: int = 0,
    scale: Any,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
) -> Integers:
    """Output codes: clip(half_even(mean / scale + zero_point)), every step rounded to float32.

    mean = t / count; t is the sum of x_scale * (x - x_zero) over the window's elements in the image, one after the
    other, row by row, from 0. count is the number of these elements; with count_include_pad it is the size of the
    kernel, always (ONNX Runtime divides by it also where ceil_mode reaches beyond the padding).
    x: int[N, C, *spatial]. pads: before each spatial axis, then after each. x_scale, scale: positive float32.
    bits (at most 16), signed, narrow: the output format. Returns i64[N, C, *output]. Raises OutOfDomain, also for a
    window without any element of the image. Source: ONNX Runtime, contrib_ops/cpu/quantization/qlinear_pool.cc.
    """
    codes = centred(x, x_zero, "x")
    layout = pooling(codes, kernel, strides, dilations, pads, ceil_mode)
    low, high = code_range(bits, signed, narrow)
    zero = np.float32(checks.integer(zero_point, low, high, "zero_point"))
    count = (
        np.asarray(int(np.prod(layout.kernel)))
        if checks.flag(count_include_pad, "count_include_pad")
        else layout.counts(False)
    )
    with np.errstate(over="ignore", under="ignore"):
        real = factor(x_scale, "x_scale") * to_float32(codes, "x - x_zero")
        total = np.zeros((*codes.shape[:2], *layout.output), np.float32)
        for _, tap in layout.taps(layout.padded(np.asarray(real), 0)):
            total = total + tap
        mean = total / count.astype(np.float32)
        return round_saturate(np.asarray(mean / factor(scale, "scale") + zero), low, high)
