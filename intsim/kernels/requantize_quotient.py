"""One exact quotient by any scale: from a sum to an output code."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, contiguous, share_elements
from intsim.kernels.mac import extremes
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.rounding import RULES, divide
from intsim.kernels.saturate import clamp, code_dtype, limits


def requantize_quotient(
    acc: Array,
    *,
    factor: int,
    divisor: int,
    rounding: str,
    zero_point: int = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in acc's shape.

    clip(round(acc * factor / divisor) + zero_point), one exact quotient. acc: integers. rounding: a name of RULES.
    Raises ValueError where int64 does not hold twice the product or the divisor.
    """
    if max(max(map(abs, extremes(acc, 0))) * factor, divisor) >= 1 << 62:
        raise ValueError(f"sums times {factor} over {divisor} may leave int64: use the spec")
    low, high = limits(bits, signed, narrow)
    flat = contiguous(acc).reshape(-1)
    out = np.empty(flat.shape, code_dtype(bits, signed))
    parameters = (factor, divisor, RULES[rounding], zero_point, low, high, out)
    share_elements(pool, lambda start, stop: _elements(flat, *parameters, start, stop), out.size)
    return out.reshape(acc.shape)


@kernel
def _elements(
    acc: Any,
    factor: Any,
    divisor: Any,
    rule: Any,
    zero: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    for i in range(start, stop):
        out[i] = clamp(divide(np.int64(acc[i]) * factor, divisor, rule) + zero, low, high)
