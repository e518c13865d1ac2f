"""Real photographs, from the files inside scikit-image's wheel: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
)
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
EFFICIENTNET_LITE = ((0.498, 0.498, 0.498), (0.502, 0.502, 0.502))


def photographs(
    size: int = 224,
    crops: int = 1,
    normalization: tuple[tuple[float, float, float], tuple[float, float, float]] = IMAGENET,
) -> NDArray[np.float32]:
    """Photographs f32[8 * crops, 3, size, size], channels R, G, B, normalised to (x / 255 - mean) / std.

    `crops` = 1 takes the largest square in the middle of each photograph; each further one a smaller square
    somewhere else in it, always the same.
    """
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in normalization)
    images = np.stack([_crop(name, size, k) for k in range(crops) for name in NAMES])
    return ((images.astype(np.float32) / np.float32(255) - mean) / std).astype(np.float32)


def _crop(name: str, size: int, k: int) -> NDArray[np.uint8]:
    """The k-th square of a photograph, resized: u8[3, size, size]."""
    import skimage
    from PIL import Image

    with Image.open(Path(skimage.__file__).parent / "data" / name) as opened:
        image = opened.convert("RGB")
    side = min(image.size) if k == 0 else min(image.size) * (4 + k % 3) // 8
    where = (0.5, 0.5) if k == 0 else ((0.37 * k) % 1.0, (0.61 * k) % 1.0)
    left, top = (int(f * (extent - side)) for f, extent in zip(where, image.size, strict=True))
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(square, np.uint8).transpose(2, 0, 1)
