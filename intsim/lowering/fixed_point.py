"""Fixed-point multiplication of one Python integer, for the tables of one code each."""

from __future__ import annotations


def scaled(x: int, multiplier: int, shift: int, *, single: bool) -> int:
    """x * multiplier * 2**(shift - 31), as TFLite rounds it; shift counts to the LEFT.

    single: half_up, once. Else half_up(wrap32(x << max(shift, 0)) * multiplier / 2**31), then half_away of the rest.
    Source: tflite-micro, kernels/internal/common.cc, MultiplyByQuantizedMultiplier.
    """
    if single:
        return (x * multiplier + (1 << (30 - shift))) >> (31 - shift)
    left = ((x << max(shift, 0)) + 2**31) % 2**32 - 2**31
    high = min((left * multiplier + 2**30) >> 31, 2**31 - 1)
    right = max(-shift, 0)
    magnitude = (abs(high) + (1 << right >> 1)) >> right
    return magnitude if high >= 0 else -magnitude
