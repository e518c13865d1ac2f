"""Batches: a run of many images in parts of a few, so that memory stays bounded, and its results joined exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.lowering.lowered import Lowered
from intsim.run.result import Output, Outputs, Result, Taps
from intsim.taps.observer import Observer

Array = np.ndarray[Any, Any]

Progress = Callable[[int, int], None]
"""Told how many of how many images are done."""


@dataclass(frozen=True)
class Batch:
    """A part of a run: `count` of its units, after `before` others. A unit is one image, or one fixed batch."""

    inputs: Mapping[str, Array]
    override: Mapping[str, Array]
    before: int
    count: int

    def rows_before(self, length: int) -> int:
        """How far coordinates on a first axis of that length lie from the run's first."""
        return length // self.count * self.before


@dataclass(frozen=True)
class Division:
    """How a run's arrays are cut: units, images a unit, and how many rows of each input are a unit (0: never cut)."""

    units: int
    images: int
    rows: Mapping[str, int]

    @property
    def total(self) -> int:
        """The number of images."""
        return self.units * self.images


def divide(lowered: Lowered, inputs: Mapping[str, Array]) -> Division:
    """The Division of inputs, whose shapes were checked, by value name.

    A model whose batch is left open is cut into images, but where a node computes across them; one with a fixed batch
    into batches of that length.
    Errors: UnusableInput where the inputs have different numbers of images.
    """
    shapes = {}
    for name, value in lowered.inputs.items():
        shapes[name] = shapes[value] = lowered.graph.values[name].shape
    declared = {name: shapes[name][0] if shapes[name] else 0 for name in inputs}
    open_batch = any(length is None for length in declared.values())
    if open_batch:
        rows = {name: 1 if length is None else 0 for name, length in declared.items()}
    else:
        rows = {name: length or 0 for name, length in declared.items()}
    counts = {name: len(inputs[name]) // step for name, step in rows.items() if step}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name!r} {len(inputs[name])}" for name in counts)
        raise UnusableInput(f"the inputs differ in their number of images ({text}); give as many of each")
    units = next(iter(counts.values()), 1)
    if open_batch and lowered.mixing_node is not None:
        return Division(1, units, dict.fromkeys(rows, 0))
    return Division(units, 1 if open_batch else next((r for r in rows.values() if r), 1), rows)


def cut(division: Division, inputs: Mapping[str, Array], override: Mapping[str, Array], size: int) -> Iterator[Batch]:
    """The batches of `size` images (one fixed batch at least); an override is cut like its tensor."""
    step = max(1, size // division.images) if division.images == 1 else 1
    for before in range(0, division.units, step):
        count = min(step, division.units - before)
        parts = {
            name: array[before * rows : (before + count) * rows] if (rows := division.rows[name]) else array
            for name, array in inputs.items()
        }
        given = {}
        for name, codes in override.items():
            rows = len(codes) // division.units
            given[name] = codes[before * rows : (before + count) * rows] if division.units > 1 else codes
        yield Batch(parts, given, before, count)


def run_batches(
    lowered: Lowered,
    inputs: Mapping[str, Array],
    override: Mapping[str, Array],
    observer: Observer,
    compute: Callable[[Batch], Mapping[str, Array]],
    size: int,
    progress: Progress | None,
) -> Result:
    """The Result of a run in batches of `size` images; compute: from a batch to the values of lowered.outputs."""
    division = divide(lowered, inputs)
    parts: dict[str, list[Array]] = {name: [] for name in lowered.outputs}
    for batch in cut(division, inputs, override, size):
        computed = compute(batch)
        for name, value in lowered.outputs.items():
            parts[name].append(computed[value])
        if progress is not None:
            progress((batch.before + batch.count) * division.images, division.total)
    outputs = {}
    for name, value in lowered.outputs.items():
        format = lowered.values.get(value)
        joined = _joined(name, parts[name])
        made = lowered.graph.producer(name)
        aliases = (value,) if made is None else (value, made.name)
        values = joined if format is None else joined.astype(format.dtype, copy=False)
        outputs[name] = Output(name, format, values, aliases)
    return Result(Outputs(outputs), Taps(observer.taps()), division.total, dict(observer.overflows))


def _joined(name: str, parts: list[Array]) -> Array:
    """The parts along the first axis, which is the batch."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].ndim == 0:
        raise UnusableInput(f"output {name!r} has no batch axis; run one batch at a time")
    return np.concatenate(parts)
