"""Data for training: images in files become Samples in memory, and these become batches; labels only measure."""

from __future__ import annotations

from intsim.training.data.augment import shift_and_flip
from intsim.training.data.folder import read_images
from intsim.training.data.idx import read_fashion_mnist, read_idx, read_idx_samples
from intsim.training.data.jpegs import read_jpegs
from intsim.training.data.samples import Augment, Batches, Samples

__all__ = [
    "Augment",
    "Batches",
    "Samples",
    "read_fashion_mnist",
    "read_idx",
    "read_idx_samples",
    "read_images",
    "read_jpegs",
    "shift_and_flip",
]
