"""The squared errors of three neighbouring exponents for a shifted accumulator, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array

LANES = 16
"""Sums that are made side by side, so that the loop can be vectorised: floats are never added in another order."""

BLOCK = 1024
"""Numbers whose float32 sums are added in float64."""


def step_errors(v: Array, half: float, step: int, bits: int, lowest: float, highest: float) -> tuple[float, ...]:
    """Sum of (r - code(r) * 2**k)**2 over r = clip(v - half, lowest, highest), for k = step - 1, step, step + 1.

    code(r) = clip(half_up(r / 2**k)) in the signed range of that many bits. v: float32[n] or float64[n], contiguous.
    lowest, highest: of a clamp that acts on the reals before they are quantized, in units of v. In v's precision.
    """
    high = (1 << (bits - 1)) - 1
    units = [2.0 ** (step + k) for k in (-1, 0, 1)]
    numbers = np.array([half, -high - 1, high, lowest, highest, *units, *(1 / u for u in units)], v.dtype)
    sums = np.zeros(3)
    whole = len(v) // LANES * LANES
    _errors(v[:whole].reshape(-1, LANES), numbers, np.zeros((3, LANES), v.dtype), sums)
    rest = np.clip(v[whole:].astype(np.float64) - half, lowest, highest)
    for k, unit in enumerate(units):
        sums[k] += np.sum((rest - np.clip(np.floor(rest / unit + 0.5), -high - 1, high) * unit) ** 2)
    return tuple(sums.tolist())


@kernel
def _errors(v: Any, numbers: Any, lanes: Any, sums: Any) -> None:
    half, low, high, lowest, highest, u0, u1, u2, i0, i1, i2 = numbers
    point = numbers.dtype.type(0.5)
    for start in range(0, v.shape[0], BLOCK // LANES):
        lanes[:] = 0
        for i in range(start, min(start + BLOCK // LANES, v.shape[0])):
            for j in range(LANES):
                r = min(max(v[i, j] - half, lowest), highest)
                a = r - min(max(np.floor(r * i0 + point), low), high) * u0
                b = r - min(max(np.floor(r * i1 + point), low), high) * u1
                c = r - min(max(np.floor(r * i2 + point), low), high) * u2
                lanes[0, j] += a * a
                lanes[1, j] += b * b
                lanes[2, j] += c * c
        for k in range(3):
            for j in range(LANES):
                sums[k] += lanes[k, j]
