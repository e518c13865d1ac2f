"""The mean of each window at any scales, one exact quotient and one rounding."""

from __future__ import annotations

from math import prod

import numpy as np

from intsim.kernels.average_pool import mean_rows
from intsim.kernels.layout import Array
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.rounding import RULES
from intsim.kernels.saturate import code_dtype, limits
from intsim.kernels.windows import planes_and_windows


def average_pool_quotient(
    x: Array,
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
    pool: Sharing = run_all,
) -> Array:
    """The codes [N, C, (H,) W], integers of the smallest dtype of `bits` bits.

    clip(round(sum(x - x_zero) * factor / (count * divisor)) + zero_point), one exact quotient. count: the window's
    elements in the image, with count_include_pad those in the padding too, which add 0 to the sum.
    x: integer codes [N, C, (H,) W]. pads: begins, then ends. rounding: a name of RULES.
    Raises ValueError where no window fits, one has nothing of the image, or int64 does not hold the quotient's terms.
    """
    planes, windows, shape = planes_and_windows(x, kernel, strides, pads, dilations, ceil_mode)
    rows, columns = windows.counts(count_include_pad)
    terms = (max(map(abs, extremes(x, x_zero))) * factor, divisor)
    if max(terms) * prod(kernel) >= 1 << 62:
        raise ValueError(f"sums of {prod(kernel)} elements times {factor} over {divisor} may leave int64: use the spec")
    low, high = limits(bits, signed, narrow)
    out = np.empty((len(planes), *windows.output), code_dtype(bits, signed))
    parameters = (windows.geometry, x_zero, rows, columns, factor, divisor, RULES[rounding], zero_point, low, high, out)
    pool(lambda start, stop: mean_rows(planes, *parameters, start, stop), len(planes))
    return out.reshape(shape)
