"""Many compressed images in one .npz file: `jpeg`, their bytes one after the other, `offset`, and `label`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.files import read_arrays
from intsim.images.pixels import image_pixels
from intsim.images.preprocess import Preprocess
from intsim.training.data.samples import Samples

Array = np.ndarray[Any, Any]


def read_jpegs(path: str | Path, preprocess: Preprocess, first: int | None = None) -> Samples:
    """The Samples of a file, each image decoded once; labels where the file has them.

    jpeg: u8[bytes]; offset: integers[N + 1], image i is jpeg[offset[i]:offset[i + 1]]; label: integers[N], optional.
    first: no more than that many images. Errors: UnusableInput names the file, and the image that cannot be read, has
    another size than the first one, or no bytes.
    """
    arrays = read_arrays(path)
    data, offset = (_integers(arrays, name, path) for name in ("jpeg", "offset"))
    if data.dtype != np.uint8:
        raise UnusableInput(f"{path}: `jpeg` must be uint8, not {data.dtype}")
    ordered = len(offset) > 1 and offset[0] >= 0 and offset[-1] <= len(data) and bool((np.diff(offset) > 0).all())
    if not ordered:
        raise UnusableInput(f"{path}: `offset` must rise from 0 to at most the {len(data)} bytes of `jpeg`")
    count = len(offset) - 1
    labels = _integers(arrays, "label", path).astype(np.int64) if "label" in arrays else None
    if labels is not None and len(labels) != count:
        raise UnusableInput(f"{path}: {count} images need that many labels, not {len(labels)}")
    count = count if first is None else min(first, count)

    def decoded(index: int) -> Array:
        return image_pixels(
            io.BytesIO(data[offset[index] : offset[index + 1]].tobytes()), preprocess, f"{path}, image {index}"
        )

    return Samples(stacked(count, decoded, str(path)), preprocess, None if labels is None else labels[:count])


def stacked(count: int, decoded: Any, name: str) -> Array:
    """The pixels of that many images in one array. Errors: UnusableInput for images of different sizes."""
    if count < 1:
        raise UnusableInput(f"{name}: holds no images")
    start = decoded(0)
    pixels = np.empty((count, *start.shape), np.uint8)
    for index in range(count):
        image = decoded(index) if index else start
        if image.shape != start.shape:
            raise UnusableInput(
                f"{name}: image {index} has the shape {list(image.shape)}, the first one {list(start.shape)}; "
                f"preprocess with a crop, or a resize to height and width"
            )
        pixels[index] = image
    return pixels


def _integers(arrays: Mapping[str, Array], name: str, path: str | Path) -> Array:
    if name not in arrays:
        raise UnusableInput(f"{path}: has no array `{name}`; it must hold `jpeg`, `offset` and perhaps `label`")
    array = arrays[name]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UnusableInput(f"{path}: `{name}` must be one row of integers, not {array.dtype} {list(array.shape)}")
    return array
