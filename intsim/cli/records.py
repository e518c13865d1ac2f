"""What a run leaves behind: the folder of codes with its index, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsim.cli.terminal import note, say, table
from intsim.vectors import Recorded, write_manifest

if TYPE_CHECKING:
    from intsim.model import Model
    from intsim.run.result import Result
    from intsim.taps.tap import Tap


def write_result(folder: str | Path, model: Model, result: Result) -> dict[str, Any]:
    """Write outputs and taps as one folder with index.json; its `tensors`, by ONNX tensor name.

    An output is written under its own name and, where its codes are another tensor's, under that name too. A raw
    accumulator is called `<tensor>#accumulator`; counts stand in index.json under `taps`. Errors: UnusableInput.
    """
    tensors: dict[str, Recorded] = {}
    for name, tap in result.taps.items():
        if tap.codes is not None:
            tensors[name] = Recorded(tap.codes, tap.format)
        if tap.accumulator is not None:
            accumulator = model.lowered.accumulators[name]
            tensors[accumulator] = Recorded(tap.accumulator, model.lowered.values[accumulator])
    for name, output in result.outputs.items():
        for alias in {model.lowered.outputs[name]: None, name: None}:
            tensors[alias] = Recorded(output.values, output.format, "output")
    counts = {name: summary for name, tap in result.taps.items() if (summary := tap.summary())}
    manifest = write_manifest(
        folder,
        tensors,
        model=model.graph.name,
        digest=model.graph.digest,
        target=model.target,
        images=result.images,
        taps=counts,
    )
    return {name: entry.to_dict() for name, entry in manifest.tensors.items()}


def warn_of_overflows(result: Result) -> None:
    """A note on stderr where sums left their accumulator: it is never silent."""
    for name, count in result.overflows.items():
        note(f"warning: {count:,} sums of {name!r} left their accumulator; `intsim ranges` says what they need")


def show_counts(result: Result) -> None:
    """The table of what the taps counted, where they counted anything."""
    headers = ("tensor", "least", "greatest", "clipped low", "clipped high", "zero", "overflows", "first overflow")
    rows = [_counts(tap) for tap in result.taps.values() if tap.extremes or tap.saturation or tap.overflow]
    if rows:
        say()
        table(headers, rows, right=headers[1:7], fold=("tensor", "first overflow"))


def _counts(tap: Tap) -> tuple[Any, ...]:
    least, greatest = tap.extremes or (None, None)
    clipped, overflow = tap.saturation, tap.overflow
    parts: tuple[Any, ...] = ("", "", "")
    if clipped is not None:
        parts = tuple(f"{n / clipped.elements:.2%}" for n in (clipped.low, clipped.high, clipped.zero))
    first = ""
    if overflow is not None and overflow.first is not None:
        first = f"{overflow.value:,} at {list(overflow.first)}"
    return (tap.name, least, greatest, *parts, None if overflow is None else f"{overflow.count:,}", first)
