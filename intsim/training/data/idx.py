"""IDX files, in which MNIST and Fashion-MNIST come."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.images.preprocess import Preprocess
from intsim.training.data.samples import Samples

Array = np.ndarray[Any, Any]

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""


def read_idx(path: str | Path) -> Array:
    """The array of one IDX file of unsigned bytes, gzipped where its name ends in .gz.

    Two zero bytes, the element type (8: unsigned byte), the rank, a big-endian u32 for each dimension, the data.
    Source: the description of the format with the MNIST data. Errors: UnusableInput names the file.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except FileNotFoundError:
        raise UnusableInput(
            f"{path}: no such file; for Fashion-MNIST run `apt-get install dataset-fashion-mnist`"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UnusableInput(f"{path}: cannot be read as an IDX file: {error}") from error
    rank = raw[3] if raw[:3] == b"\0\0\x08" and len(raw) > 3 else 0
    start = 4 + 4 * rank
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    if rank == 0 or len(raw) != start + math.prod(shape):
        raise UnusableInput(f"{path}: not an IDX file of unsigned bytes, or truncated; get it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def read_idx_samples(images: str | Path, labels: str | Path | None, preprocess: Preprocess) -> Samples:
    """The Samples of an IDX file of images [N, height, width], and of one of labels [N] if given.

    Errors: UnusableInput for files of other shapes.
    """
    pixels = read_idx(images)
    if pixels.ndim != 3:
        raise UnusableInput(f"{images}: must hold images [N, height, width], not {list(pixels.shape)}")
    found = None if labels is None else read_idx(labels)
    if found is not None and found.shape != pixels.shape[:1]:
        raise UnusableInput(f"{labels}: {len(pixels)} images need that many labels, not {list(found.shape)}")
    return Samples(pixels[:, None], preprocess, None if found is None else found.astype(np.int64))


def read_fashion_mnist(part: str, preprocess: Preprocess, folder: str | Path = FASHION_MNIST) -> Samples:
    """Fashion-MNIST's part "train" (60,000 images) or "t10k" (10,000), 1 x 28 x 28, with labels."""
    folder = Path(folder)
    return read_idx_samples(
        folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz", preprocess
    )
