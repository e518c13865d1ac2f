"""A folder of images as Samples: DIR/<class>/<image>, or DIR/<image> without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intsim.images.folder import list_folder
from intsim.images.pixels import image_pixels
from intsim.images.preprocess import Preprocess
from intsim.training.data.jpegs import stacked
from intsim.training.data.samples import Samples


def read_images(path: str | Path, preprocess: Preprocess) -> Samples:
    """The Samples of a folder, each image decoded once; order and classes are those of `intsim.images.read_folder`.

    Errors: UnusableInput as there.
    """
    listed = list_folder(path)
    pixels = stacked(len(listed.files), lambda index: image_pixels(listed.files[index], preprocess), str(path))
    labels = np.array(listed.labels, np.int64) if listed.classes else None
    return Samples(pixels, preprocess, labels, tuple(listed.classes))
