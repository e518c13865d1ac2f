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
        self._check_formats()
        self.arrays = {name: self.manifest.read(name) for name in self.manifest.tensors}
        images = self.manifest.images
        for name, array in self.arrays.items():
            if array.ndim == 0 or images < 1 or len(array) % images:
                raise UnusableInput(
                    f"{folder}: tensor {name!r} of shape {list(array.shape)} cannot be that of {images} images"
                )

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """What was recorded of these images; the recorded stimulus must be the one given.

        Errors: UnusableInput where the folder has other images, or fewer.
        """
        count = len(next(iter(inputs.values())))
        images = self.manifest.images
        if first_image + count > images:
            raise UnusableInput(f"{self.name}: records {images} images, the input has more; give the recorded ones")
        found = {name: array[self._rows(array, first_image, count)] for name, array in self.arrays.items()}
        for name, x in inputs.items():
            recorded = found.get(self.model.lowered.inputs[name] if x.dtype.kind in "iu" else name)
            if recorded is not None and not np.array_equal(recorded, x):
                raise UnusableInput(f"{self.name}: was recorded from another input {name!r}; give the recorded one")
        return found

    def _rows(self, array: Array, first_image: int, count: int) -> slice:
        """The rows of these images: a tensor's first axis may hold several rows an image."""
        rows = len(array) // self.manifest.images
        return slice(first_image * rows, (first_image + count) * rows)

    def _check_formats(self) -> None:
        """Errors: UnusableInput for codes that mean other reals than the model's: equal codes would not be equal."""
        own = self.model.lowered.values
        for name, entry in self.manifest.tensors.items():
            format = own.get(name)
            if format is not None and entry.format is not None and format != entry.format:
                raise UnusableInput(
                    f"{self.name}: tensor {name!r} was recorded as {entry.format}, the model has {format}; "
                    f"record it again"
                )


def open_peer(model: Model, argument: str, threads: int | None) -> RecordedPeer:
    """The peer for a folder. Errors: UnusableInput where it is empty, foreign or damaged."""
    return RecordedPeer(model, argument)
