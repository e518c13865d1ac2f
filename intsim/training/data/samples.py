"""Samples: images as pixels in memory, decoded once, and the batches of reals that a network takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intsim.errors import UnusableInput
from intsim.images.pixels import scaled_reals
from intsim.images.preprocess import Preprocess

Array = np.ndarray[Any, Any]

Augment = Callable[[Array, np.random.Generator], Array]
"""Pixels u8[N, channels, height, width] and random numbers -> other pixels of that shape."""


@dataclass(frozen=True)
class Samples:
    """Images, and their labels where there are any.

    pixels: u8[N, channels, height, width]. preprocess: its scale, mean and std make reals of them. labels: int64[N].
    Errors: UnusableInput where there is no image at all, or not one label for each.
    """

    pixels: Array
    preprocess: Preprocess
    labels: Array | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.size == 0:
            raise UnusableInput("the data set is empty; give at least one image")
        if self.labels is not None and self.labels.shape != self.pixels.shape[:1]:
            raise UnusableInput(f"{len(self.pixels)} images need that many labels, not {list(self.labels.shape)}")

    def __len__(self) -> int:
        return len(self.pixels)

    def reals(self, index: slice | Array = slice(None)) -> Array:
        """f32[n, channels, height, width] of these images: (pixel / scale - mean) / std, rounded after each step."""
        return scaled_reals(self.pixels[index], self.preprocess)

    def split(self, count: int, seed: int) -> tuple[Samples, Samples]:
        """Two parts: all but `count` images, and those, drawn by the seed. Both keep the order.

        Errors: UnusableInput where a part would be empty.
        """
        if not 0 < count < len(self):
            raise UnusableInput(f"to hold out images, their number must be 1 to {len(self) - 1}, not {count}")
        held = np.zeros(len(self), bool)
        held[np.random.default_rng(seed).permutation(len(self))[:count]] = True
        return self._taken(~held), self._taken(held)

    def _taken(self, mask: Array) -> Samples:
        labels = None if self.labels is None else self.labels[mask]
        return Samples(self.pixels[mask], self.preprocess, labels, self.classes)


@dataclass(frozen=True)
class Batches:
    """The batches of reals of Samples, f32[batch, channels, height, width] tensors, channels last in memory.

    seed: None for file order, else each epoch has an order and augmentation of its own, which follow from the seed and
    the epoch's number alone: so a run that was killed goes on with the same batches. The last batch may be shorter, or
    is left out (drop_last).
    """

    samples: Samples
    batch: int
    seed: int | None = None
    augment: Augment | None = None
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UnusableInput(f"batch must be 1 or more, not {self.batch}")
        if self.augment is not None and self.seed is None:
            raise UnusableInput("augmentation needs a seed; give one")

    def __len__(self) -> int:
        whole, rest = divmod(len(self.samples), self.batch)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Tensor]:
        return (x for x, _ in self._epoch(0))

    def epoch(self, number: int, start: int = 0) -> Iterator[Tensor]:
        """The batches of one epoch, from batch `start` on: images alone."""
        return (x for x, _ in self._epoch(number, start))

    def labelled(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The same with labels int64[batch]. Errors: UnusableInput where the samples have none."""
        labels = self.samples.labels
        if labels is None:
            raise UnusableInput("the data set has no labels; train without labels, or give labelled images")
        return ((x, torch.from_numpy(labels[index])) for x, index in self._epoch(number, start))

    def _epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Array]]:
        order = np.arange(len(self.samples))
        if self.seed is not None:
            order = np.random.default_rng((self.seed, number)).permutation(order)
        for step in range(start, len(self)):
            index = order[step * self.batch : (step + 1) * self.batch]
            pixels = self.samples.pixels[index]
            if self.augment is not None:
                assert self.seed is not None, "checked when it was made"
                pixels = self.augment(pixels, np.random.default_rng((self.seed, number, step)))
            reals = torch.from_numpy(scaled_reals(pixels, self.samples.preprocess))
            yield reals.contiguous(memory_format=torch.channels_last), index
