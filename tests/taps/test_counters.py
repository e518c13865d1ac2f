"""Counters: counts of clamped values from those of what is clamped, and sums over batches."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.taps.counters import (
    BYTES,
    CLIPPED,
    COUNTED,
    NOTHING,
    WORD,
    Counters,
    Counts,
    StoredClamp,
    Tally,
    clamped,
    clamped_zeros,
)

Array = np.ndarray[Any, Any]

FORMAT = Format(8, zero_point=(4,))


def histogram(stored: Array) -> Array:
    return np.bincount(stored.ravel(), minlength=BYTES)


def found(stored: Array, zero: int) -> list[int]:
    return [int(v) for v in (stored.min(), stored.max(), (stored == zero).sum(), (stored <= zero).sum())]


@pytest.mark.parametrize(("low", "high"), [(0, 255), (128, 255), (0, 128), (130, 200), (7, 7), (0, 0), (255, 255)])
def test_histograms_of_clamped_codes(low: int, high: int) -> None:
    stored = np.random.default_rng(low + high).integers(0, 256, (3, 500))
    counts = np.stack([histogram(image) for image in stored])
    expected = np.stack([histogram(image) for image in np.clip(stored, low, high)])
    np.testing.assert_array_equal(clamped(counts, low, high), expected)


def test_zeros_of_clamped_codes() -> None:
    """Every order of the zero point and the two ends, codes at and beside each of them."""
    stored = np.array([0, 3, 4, 5, 5, 5, 6, 6, 7, 9, 9, 255])
    for zero, low, high in itertools.product((0, 4, 5, 6, 9, 255), repeat=3):
        if low > high:
            continue
        _, _, zeros, at_most = found(stored, zero)
        expected = int((np.clip(stored, low, high) == zero).sum())
        assert clamped_zeros(zeros, at_most, stored.size, zero, StoredClamp("x", low, high)) == expected, (
            zero,
            low,
            high,
        )


def fill(counters: Counters, images: dict[str, Array], flags: dict[str, list[int]]) -> Array:
    """What a program would count, written at the counters' places."""
    count = len(next(iter(images.values())))
    array = counters.new(count)
    for name, stored in images.items():
        first, stride = (v // WORD for v in counters.places[name + COUNTED])
        tally = counters.tallies[name]
        if not tally.histogram:
            assert array[first : first + len(NOTHING)].tolist() == list(NOTHING)
            array[first : first + len(NOTHING)] = found(stored, tally.zero)
            continue
        for number, image in enumerate(stored):
            at = first + number * stride
            array[at : at + BYTES] += histogram(image)
    for name, values in flags.items():
        first = counters.places[name][0] // WORD
        array[first : first + len(values)] += values
    return array


def test_sums_over_batches() -> None:
    """Every kind of count in one array, in batches of different lengths; no two of them at one place."""
    kinds = {"a": (False, False), "b": (True, False), "c": (True, True), "d": (False, False), "e": (True, True)}
    tallies = {name: Tally(FORMAT, 128, 132, 6, *kind) for name, kind in kinds.items()}
    for name, source in (("a+", "a"), ("b+", "b"), ("c+", "c")):
        tallies[name] = Tally(FORMAT, 128, 132, 6, *kinds[source], StoredClamp(source, 132, 200))
    counters = Counters(tallies, {"a" + CLIPPED: 2, "x": 1, "d" + CLIPPED: 2})
    counts = Counts(counters)
    rng = np.random.default_rng(0)
    seen: dict[str, list[Array]] = {name: [] for name in kinds}
    for images in (3, 1, 2):
        stored = {name: rng.integers(110, 220, (images, 6)) for name in kinds}
        counts.add(fill(counters, stored, {"a" + CLIPPED: [1, 10], "d" + CLIPPED: [100, images]}), images)
        for name, codes in stored.items():
            seen[name].append(codes)
    assert counts.flag("a" + CLIPPED) == [3, 30]
    assert counts.flag("d" + CLIPPED) == [300, 6]
    assert counts.flag("x") == [0]
    for name, tally in tallies.items():
        stored_all = np.concatenate(seen[name[0]])
        if tally.clamp is not None:
            stored_all = np.clip(stored_all, 132, 200)
        for _ in range(2):  # what is read does not change it
            counted = counts.counted(name)
            assert counted.extremes == (stored_all.min() - 128, stored_all.max() - 128)
            assert (counted.zeros, counted.elements) == ((stored_all == 132).sum(), stored_all.size)
            assert (counted.histogram is not None) == tally.histogram
            if counted.histogram is not None:
                each = np.stack([histogram(image) for image in stored_all])
                np.testing.assert_array_equal(counted.histogram, each if tally.per_image else [each.sum(axis=0)])
