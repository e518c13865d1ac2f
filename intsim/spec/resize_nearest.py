"""Enlarged or shrunk images: the nearest element."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.float32 import Float32
from intsim.spec.float32 import scales as factors
from intsim.spec.windows import LONGEST

COORDINATE_MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
TIE = 1e-6
"""How far a fraction may be from one half and still be a tie: the rounding errors of a coordinate are smaller."""


def resize_nearest(
    x: npt.ArrayLike,
    *,
    scales: Any = None,
    sizes: Any = None,
    coordinate_mode: str,
    nearest_mode: str,
) -> npt.NDArray[Any]:
    """y[i, ...] = x[near(i), ...] on each axis, dtype kept; near(i) = nearest_mode(coordinate(i)), clamped into x.

    x: any array, length n on an axis. Either scales, positive float32, one per axis (output length m = floor(n *
    scale)), or sizes (m itself, 0: n), then scale = m / n. Coordinates in float32, each step rounded, i = 0 … m - 1:
      half_pixel            (i + 0.5) / scale - 0.5
      half_pixel_symmetric  n / 2 * (1 - m / (scale * n)) + (i + 0.5) / scale - 0.5 (*)
      pytorch_half_pixel    as half_pixel; 0 if m = 1
      align_corners         i * (n - 1) / (m - 1); 0 if m = 1
      asymmetric            i / scale
    (*) the factor n / 2 * (…) in float32, the rest in float64, then rounded.
    nearest_mode: floor, ceil, or the nearest integer, where a tie (a fraction within 1e-6 of one half) goes down
    (round_prefer_floor) or up (round_prefer_ceil). Where no length changes, y is x. Raises OutOfDomain.
    Source: ONNX's Resize; the precision, the width of a tie and the copy are ONNX Runtime 1.31's, by experiment.
    """
    array = np.asarray(x)
    checks.one_of(coordinate_mode, COORDINATE_MODES, "coordinate_mode")
    checks.one_of(nearest_mode, NEAREST_MODES, "nearest_mode")
    if (scales is None) == (sizes is None):
        raise OutOfDomain(f"scales or sizes must be given, and not both: not {scales!r} and {sizes!r}")
    lengths = np.array(array.shape, np.float32)
    if sizes is None:
        scale = factors(np.asarray(scales, np.float32), None, (array.ndim,), "scales")
        if scale.shape != (array.ndim,):
            raise OutOfDomain(f"scales must be {array.ndim} numbers, not {scales!r}")
        output = [int(v) for v in np.floor(lengths * scale)]
    else:
        wanted = checks.integers(sizes, array.ndim, 0, LONGEST, "sizes")
        output = [n if size == 0 else size for n, size in zip(array.shape, wanted, strict=True)]
        scale = np.array(output, np.float32) / lengths
    if tuple(output) == array.shape:
        return array.copy()
    for axis, (n, m) in enumerate(zip(array.shape, output, strict=True)):
        if n == 0 or m == 0:
            raise OutOfDomain(f"x and the result must have elements on axis {axis}, not lengths {n} and {m}")
        coordinates = _coordinates(n, m, scale[axis], coordinate_mode)
        array = np.take(array, np.clip(_nearest(coordinates, nearest_mode), 0, n - 1), axis)
    return array


def _coordinates(n: int, m: int, scale: np.float32, mode: str) -> Float32:
    i, half, one = np.arange(m, dtype=np.float32), np.float32(0.5), np.float32(1)
    if mode == "asymmetric":
        return i / scale
    if m == 1 and mode in ("pytorch_half_pixel", "align_corners"):
        return np.zeros(1, np.float32)
    if mode == "align_corners":
        return i * np.float32(n - 1) / np.float32(m - 1)
    if mode == "half_pixel_symmetric":
        offset = np.float32(n) / np.float32(2) * (one - np.float32(m) / (scale * np.float32(n)))
        return (np.float64(offset) + (i.astype(np.float64) + 0.5) / np.float64(scale) - 0.5).astype(np.float32)
    return (i + half) / scale - half


def _nearest(coordinates: Float32, mode: str) -> npt.NDArray[np.int64]:
    floor = np.floor(coordinates)
    fraction = (coordinates - floor).astype(np.float64)
    tie = np.abs(fraction - 0.5) <= TIE
    nearest = {
        "floor": floor,
        "ceil": np.ceil(coordinates),
        "round_prefer_floor": floor + (~tie & (fraction > 0.5)),
        "round_prefer_ceil": floor + (tie | (fraction > 0.5)),
    }[mode]
    return nearest.astype(np.int64)
