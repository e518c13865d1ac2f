"""Reals to codes by the exact quotient and one rounding, in integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.rounding import RULES, divide
from intsim.kernels.saturate import clamp, code_dtype, limits

FAR = 38
"""Exponents further apart than this give quotients above 2**37 or below 2**-37: beyond all codes of 32 bits, or so
small that their sign alone decides the rounding. Up to it, a mantissa shifted left stays below 2**62."""


def quantize(
    r: Array,
    *,
    scale: Any,
    zero_point: Any = 0,
    rounding: str,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
    pool: Sharing = run_all,
) -> Array:
    """The codes, integers of the smallest dtype of `bits` bits, in r's shape.

    clip(round(r / scale) + zero_point), where the quotient of the two float32 is exact.
    r: finite float32. scale: float32, scalar or [channels] along axis; zero_point likewise. rounding: of RULES.
    Raises ValueError for more than 32 bits.
    """
    if bits > 32:
        raise ValueError(f"kernels quantize to at most 32 bits, not {bits!r}")
    scales = per_channel(scale, np.float32)
    mantissas, exponents = (np.array(part, np.int64) for part in zip(*map(_split, scales.view(np.int32)), strict=True))
    rows, (mantissas, exponents, zeros) = channel_rows(
        r.astype(np.float32, copy=False), axis, mantissas, exponents, per_channel(zero_point)
    )
    reals = rows.view(np.int32)
    low, high = limits(bits, signed, narrow)
    out = np.empty(rows.shape, code_dtype(bits, signed))
    rule = RULES[rounding]
    pool(
        lambda start, stop: _rows(reals, mantissas, exponents, zeros, rule, low, high, out, start, stop),
        len(rows),
    )
    return out.reshape(r.shape)


@kernel
def _split(pattern: Any) -> Any:
    """The float32 of this bit pattern as integers (mantissa, exponent): mantissa * 2**exponent."""
    bits = np.int64(pattern)
    biased, fraction = (bits >> 23) & 255, bits & 0x7FFFFF
    mantissa = fraction if biased == 0 else fraction | 0x800000
    exponent = np.int64(1 if biased == 0 else biased) - 150
    return (-mantissa if bits < 0 else mantissa), exponent


@kernel
def _rows(
    reals: Any,
    mantissas: Any,
    exponents: Any,
    zeros: Any,
    rule: Any,
    low: Any,
    high: Any,
    out: Any,
    start: Any,
    stop: Any,
) -> None:
    for row in range(start, stop):
        c = row % zeros.shape[0]
        for i in range(reals.shape[1]):
            mantissa, exponent = _split(reals[row, i])
            apart = clamp(exponent - exponents[c], -FAR, FAR)
            if apart >= 0:
                code = divide(mantissa << apart, mantissas[c], rule)
            else:
                code = divide(mantissa, mantissas[c] << -apart, rule)
            out[row, i] = clamp(code + zeros[c], low, high)
