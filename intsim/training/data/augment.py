"""Augmentation of small images: shifted, and mirrored, by random numbers that the caller seeds."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def shift_and_flip(pixels: Array, random: np.random.Generator, padding: int = 4, flip: bool = True) -> Array:
    """Each image, padded by black pixels on all sides, cropped to its own size anywhere, and mirrored with p = 1/2.

    pixels: u8[N, channels, height, width]; so is the result, a new array.
    """
    count, _, height, width = pixels.shape
    padded = np.pad(pixels, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    top, left = random.integers(0, 2 * padding + 1, (2, count))
    mirrored = random.integers(0, 2, count).astype(bool) if flip else np.zeros(count, bool)
    made = np.empty_like(pixels)
    for image in range(count):
        crop = padded[image, :, top[image] : top[image] + height, left[image] : left[image] + width]
        made[image] = crop[:, :, ::-1] if mirrored[image] else crop
    return made
