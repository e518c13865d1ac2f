"""Counters: what a program of compiled kernels counts, all in one array of int64, and the sums of them over a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.taps.tap import Counted

Array = np.ndarray[Any, Any]

NOTHING = (255, 0, 0, 0)
"""What is found in no bytes: the least, the greatest, how many equal the zero point, how many are at most that."""

CELLS = len(NOTHING)
LEAST, GREATEST, ZEROS, AT_MOST = range(CELLS)

BYTES = 256
"""Entries of a histogram, which is by stored byte."""

WORD = 8
"""Bytes of a count."""

COUNTED = "#counted"
"""After a value's name: its place, where its histogram is, or where it has none, what is found."""

CLIPPED = "#clipped"
"""After the name of the value that a layer makes: the flag int64[2] of what the layer clipped, low and high."""


@dataclass(frozen=True)
class StoredClamp:
    """The codes min(max(x, low), high) of another value's x, in stored bytes: its counts follow from those of x."""

    source: str
    low: int
    high: int


@dataclass(frozen=True)
class Tally:
    """How a value's stored bytes become counts of codes: byte = code + offset; elements: of one image.

    zero: the byte of the zero point. histogram, per_image: whether it has one, and one for each image; where it has
    none, it has what `found` holds. clamp: where it is counted as what it is clamped from.
    """

    format: Format
    offset: int
    zero: int
    elements: int
    histogram: bool
    per_image: bool
    clamp: StoredClamp | None = None


class Counters:
    """The places of a program's counts in int64[size + images * each]; never changed.

    The array has four parts, one after the other:
    int64[n, CELLS], the values without a histogram; the flags; int64[n, BYTES], the histograms over all images;
    int64[images, n, BYTES], the histograms of each image.
    tallies: what is counted, by value. flags: other counts by name, and how many int64 each takes.
    places: where each count lies, in bytes from the array's start, and its step from one image to the next. Values
    stand there under their name and COUNTED.
    """

    def __init__(self, tallies: Mapping[str, Tally], flags: Mapping[str, int]) -> None:
        self.tallies, self.flags = tallies, flags
        own = {name: tally for name, tally in tallies.items() if tally.clamp is None}
        self._found = {name: n for n, name in enumerate(name for name, t in own.items() if not t.histogram)}
        self._images = {name: n for n, name in enumerate(name for name, t in own.items() if t.per_image)}
        first = CELLS * len(self._found)
        self.at: dict[str, int] = {}
        for name, length in flags.items():
            self.at[name] = first
            first += length
        self._histograms: dict[str, int] = {}
        for name in (name for name, t in own.items() if t.histogram and not t.per_image):
            self._histograms[name] = first
            first += BYTES
        self.each = BYTES * len(self._images)
        self._start = np.zeros(first, np.int64)
        self.found(self._start)[:] = NOTHING
        self.places = {name: (WORD * at, 0) for name, at in self.at.items()}
        self.places |= {name + COUNTED: (WORD * CELLS * n, 0) for name, n in self._found.items()}
        self.places |= {name + COUNTED: (WORD * at, 0) for name, at in self._histograms.items()}
        for name, n in self._images.items():
            self.places[name + COUNTED] = WORD * (first + BYTES * n), WORD * self.each

    @property
    def size(self) -> int:
        """Counts that do not grow with the number of images."""
        return len(self._start)

    def new(self, images: int) -> Array:
        """The array before anything is counted."""
        if not self.each:
            return self._start.copy()
        return np.concatenate([self._start, np.zeros(images * self.each, np.int64)])

    def found(self, array: Array) -> Array:
        """int64[n, CELLS] of an array."""
        return array[: CELLS * len(self._found)].reshape(-1, CELLS)

    def histogram(self, name: str, array: Array) -> Array:
        """int64[images or 1, BYTES] of a value in an array, by stored byte."""
        tally = self.tallies[name]
        if tally.clamp is not None:
            return clamped(self.histogram(tally.clamp.source, array), tally.clamp.low, tally.clamp.high)
        if tally.per_image:
            return array[self.size :].reshape(-1, len(self._images), BYTES)[:, self._images[name]]
        first = self._histograms[name]
        return array[None, first : first + BYTES]

    def counted(self, name: str, array: Array, images: int) -> Counted:
        """What was counted of a value in `images` images."""
        tally = self.tallies[name]
        elements = images * tally.elements
        histogram = None
        if tally.histogram:
            counts = self.histogram(name, array)
            first = tally.format.low + tally.offset
            histogram = counts[:, max(first, 0) : first + (1 << tally.format.bits)]
            if first < 0:  # codes that no byte stands for: signed ones, stored as they are because none is negative
                histogram = np.pad(histogram, ((0, 0), (-first, 0)))
            total = counts.sum(axis=0)
            used = np.flatnonzero(total)
            least, greatest, zeros = int(used[0]), int(used[-1]), int(total[tally.zero])
        elif tally.clamp is None:
            least, greatest, zeros, _ = self._of(name, array)
        else:
            c = tally.clamp
            least, greatest, zeros, at_most = self._of(c.source, array)
            least, greatest = (min(max(v, c.low), c.high) for v in (least, greatest))
            zeros = clamped_zeros(zeros, at_most, elements, tally.zero, c)
        return Counted(histogram, (least - tally.offset, greatest - tally.offset), zeros, elements)

    def _of(self, name: str, array: Array) -> list[int]:
        found: list[int] = self.found(array)[self._found[name]].tolist()
        return found


def clamped(histograms: Array, low: int, high: int) -> Array:
    """Histograms int64[n, BYTES] of min(max(v, low), high) from those of v."""
    result = np.zeros_like(histograms)
    result[:, low : high + 1] = histograms[:, low : high + 1]
    result[:, low] += histograms[:, :low].sum(axis=1)
    result[:, high] += histograms[:, high + 1 :].sum(axis=1)
    return result


def clamped_zeros(zeros: int, at_most: int, elements: int, zero: int, clamp: StoredClamp) -> int:
    """How many of min(max(v, low), high) equal `zero`; zeros, at_most: how many v equal it, and are at most that."""
    if not clamp.low <= zero <= clamp.high:
        return 0
    below = at_most - zeros if zero == clamp.low else 0
    above = elements - at_most if zero == clamp.high else 0
    return below + zeros + above


@dataclass
class Counts:
    """The counts of a program over the batches of a run, summed up."""

    counters: Counters
    images: int = 0
    total: Array | None = None
    each: list[Array] = field(default_factory=list)

    def add(self, array: Array, images: int) -> None:
        """Add what was counted in the next images; the array is the Counts' from now on."""
        size, counters = self.counters.size, self.counters
        self.images += images
        if counters.each:
            self.each.append(array[size:])
        if self.total is None:
            self.total = array[:size]
            return
        found, other = counters.found(self.total), counters.found(array)
        least = np.minimum(found[:, LEAST], other[:, LEAST])
        greatest = np.maximum(found[:, GREATEST], other[:, GREATEST])
        self.total += array[:size]
        found[:, LEAST], found[:, GREATEST] = least, greatest

    def counted(self, name: str) -> Counted:
        """What was counted of a value."""
        return self.counters.counted(name, self._array, self.images)

    def flag(self, name: str) -> list[int]:
        """The counts of a flag."""
        first = self.counters.at[name]
        found: list[int] = self._array[first : first + self.counters.flags[name]].tolist()
        return found

    @property
    def _array(self) -> Array:
        """All of it as one array."""
        assert self.total is not None, "something was counted"
        if not self.each:
            return self.total
        joined = np.concatenate([self.total, *self.each])
        self.total, self.each = joined[: self.counters.size], [joined[self.counters.size :]]
        return joined
