"""The peers `golden:DIR` and `dump:DIR`: codes that were recorded before, by the spec or by the hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.vectors.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]


class RecordedPeer:
    """The codes in a folder with a manifest, for the same images in the same order."""

    floating = False

    def __init__(self, model: Model, folder: str) -> None:
        self.name = folder
        self.model = model
        self.manifest: Manifest = read_manifest(folder)
        coded = {name for name, entry in self.manifest.tensors.items() if entry.format is not None}
        self.arrays = {name: self.manifest.read(name) for name in sorted(coded)}

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """The recorded codes of these images; the recorded stimulus must be the one given.

        Errors: UnusableInput where the folder has other images, or fewer.
        """
        count = len(next(iter(inputs.values())))
        images = self.manifest.images
        if first_image + count > images:
            raise UnusableInput(f"{self.name}: records {images} images, the input has more; give the recorded ones")
        codes = {name: array[self._rows(array, first_image, count)] for name, array in self.arrays.items()}
        for name, x in inputs.items():
            value = self.model.lowered.inputs[name]
            if value in codes and x.dtype.kind in "iu" and not np.array_equal(codes[value], x):
                raise UnusableInput(f"{self.name}: was recorded from another input {name!r}; give the recorded one")
        return codes

    def _rows(self, array: Array, first_image: int, count: int) -> slice:
        """The rows of these images: a tensor's first axis may hold several rows an image."""
        rows = len(array) // self.manifest.images
        return slice(first_image * rows, (first_image + count) * rows)


def open_peer(model: Model, argument: str, threads: int | None) -> RecordedPeer:
    """The peer for a folder. Errors: UnusableInput where it is empty, foreign or damaged."""
    return RecordedPeer(model, argument)
