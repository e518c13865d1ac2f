"""A run's outputs and taps as a folder with its index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from intsim.vectors.manifest import Recorded, write_manifest

if TYPE_CHECKING:
    from intsim.model import Model
    from intsim.run.result import Result


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
