"""Fixed-point multiplication of one Python integer, for the tables of one code each."""

from __future__ import annotations

from intsim.formats import round_quotient


def scaled(x: int, multiplier: int, shift: int, *, single: bool) -> int:
    """x * multiplier * 2**(shift - 31), as TFLite rounds it; shift counts to the LEFT.

    single: half_up, once. Else half_up(wrap32(x << max(shift, 0)) * multiplier / 2**31), then half_away of the rest.
    Source: tflite-micro, kernels/internal/common.cc, MultiplyByQuantizedMultiplier.
    """
    if single:
        return round_quotient(x * multiplier, 1 << (31 - shift), "half_up")
    left = ((x << max(shift, 0)) + 2**31) % 2**32 - 2**31
    high = min(round_quotient(left * multiplier, 2**31, "half_up"), 2**31 - 1)
    return round_quotient(high, 1 << max(-shift, 0), "half_away")
