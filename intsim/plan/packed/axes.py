"""Where the elements along each axis of a value lie in its packed image."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.plan.packed.image import Image
from intsim.plan.packed.op import Place

Array = np.ndarray[Any, Any]

CUBE = 3
"""Axes of a value that has lines, columns and channels."""


def has_axes(image: Image) -> bool:
    """Whether each axis of the value is walked by one of memory, or, in a signal made of an image, by its pixels."""
    signal = len(image.shape) == 2 and not image.rows and image.channels == image.shape[0]
    return image.canonical or image.is_matrix or signal


def memory_axes(image: Image) -> tuple[int | None, int | None, int]:
    """The axes of a value that are its lines, columns and channels in memory; None for lines and columns of one."""
    rank = len(image.shape)
    if image.rows:
        return (0 if rank == CUBE else None), rank - 2, rank - 1
    return (1 if rank == CUBE else None), (rank - 1 if rank > 1 else None), 0


def axis_offsets(place: Place, axis: int | None) -> Array:
    """Bytes from the first element to each along an axis of a value, int64[length]; along no axis: int64[1]."""
    image = place.image
    if axis is None:
        return np.zeros(1, np.int64)
    line, _, channel = memory_axes(image)
    if axis == channel:
        return np.arange(image.channels, dtype=np.int64) * image.size
    if axis == line:
        return np.arange(image.height, dtype=np.int64) * place.line
    y, x = np.divmod(np.arange(image.shape[axis], dtype=np.int64), image.width)
    return y * place.line + x * image.pixel
