"""XNNPACK's multipliers: the integers of the rndnu requantizer."""

from __future__ import annotations

import numpy as np

from intsim.errors import OutOfDomain


def multiplier_and_shift(scale: np.float32) -> tuple[int, int]:
    """(multiplier, shift), shift to the RIGHT: scale = multiplier / 2**shift exactly, 2**23 <= multiplier < 2**24.

    Source: google/XNNPACK, src/xnnpack/requantization.h, xnn_qs8_requantize_rndnu.
    """
    fraction, exponent = np.frexp(_bounded(np.float32(scale)))
    return int(fraction * np.float32(2**24)), 24 - int(exponent)


def _bounded(scale: np.float32) -> np.float32:
    if not 2.0**-32 <= scale < 256:
        raise OutOfDomain(f"XNNPACK's multiplier must be at least 2**-32 and below 256, not {float(scale)!r}")
    return scale
