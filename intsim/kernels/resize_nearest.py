"""Enlarged or shrunk images: each element is the nearest one of the image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intsim.kernels.layout import Array, contiguous
from intsim.kernels.parallel import Sharing, run_all

TIE = 1e-6
"""A coordinate this close to the middle between two elements is a tie: float32 coordinates are not exact."""


def resize_nearest(
    x: Array,
    *,
    scales: Any = None,
    sizes: Any = None,
    coordinate_mode: str,
    nearest_mode: str,
    pool: Sharing = run_all,
) -> Array:
    """The nearest elements of x, of x's dtype; lengths floor(length * scale), or sizes (0: as it is).

    coordinate_mode: where in x an element of the result lies: half_pixel, half_pixel_symmetric, pytorch_half_pixel,
    align_corners, asymmetric; in float32. nearest_mode: round_prefer_floor, round_prefer_ceil, floor, ceil. Equal
    lengths: a copy. Raises ValueError for other modes, or without one of scales and sizes. pool: not used.
    Source: ONNX's Resize, as ONNX Runtime computes it (core/providers/cpu/tensor/upsamplebase.h).
    """
    if (scales is None) == (sizes is None):
        raise ValueError(f"one of scales and sizes must be given, not {scales!r} and {sizes!r}")
    if sizes is None:
        factors = [np.float32(s) for s in scales]
        lengths = [math.floor(np.float32(n) * s) for n, s in zip(x.shape, factors, strict=True)]
    else:
        lengths = [int(size) or n for n, size in zip(x.shape, sizes, strict=True)]
        factors = [np.float32(m) / np.float32(n) for n, m in zip(x.shape, lengths, strict=True)]
    if tuple(lengths) == x.shape:
        return contiguous(x).copy()
    for axis, (n, m, scale) in enumerate(zip(x.shape, lengths, factors, strict=True)):
        places = [_coordinate(i, n, m, scale, coordinate_mode) for i in range(m)]
        x = x.take([min(max(_nearest(place, nearest_mode), 0), n - 1) for place in places], axis)
    return contiguous(x)


def _coordinate(i: int, n: int, m: int, scale: Any, mode: str) -> float:
    """Where element i of m lies among n elements; a float32."""
    single = np.float32
    if mode == "asymmetric":
        return float(single(i) / scale)
    if mode == "align_corners":
        return 0.0 if m == 1 else float(single(i) * single(n - 1) / single(m - 1))
    if mode == "half_pixel_symmetric":
        offset = single(n) / single(2) * (single(1) - single(m) / (scale * single(n)))
        return float(single(float(offset) + (i + 0.5) / float(scale) - 0.5))
    if mode == "pytorch_half_pixel" and m == 1:
        return 0.0
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return float((single(i) + single(0.5)) / scale - single(0.5))
    raise ValueError(
        "coordinate_mode must be half_pixel, half_pixel_symmetric, pytorch_half_pixel, align_corners or asymmetric, "
        f"not {mode!r}"
    )


def _nearest(place: float, mode: str) -> int:
    """The integer that a float32 coordinate stands for."""
    below = math.floor(place)
    if mode == "floor":
        return below
    if mode == "ceil":
        return math.ceil(place)
    if mode not in ("round_prefer_floor", "round_prefer_ceil"):
        raise ValueError(f"nearest_mode must be round_prefer_floor, round_prefer_ceil, floor or ceil, not {mode!r}")
    above_half = place - below - 0.5
    if abs(above_half) <= TIE:
        return below + (mode == "round_prefer_ceil")
    return below + (above_half > 0)
