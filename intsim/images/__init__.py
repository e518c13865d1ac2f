"""Images: a folder of PNG, JPEG and other files becomes the reals that a network takes."""

from __future__ import annotations

from intsim.images.folder import Images, read_folder
from intsim.images.preprocess import METADATA, Preprocess, find_preprocess

__all__ = ["METADATA", "Images", "Preprocess", "find_preprocess", "read_folder"]
