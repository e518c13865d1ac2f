"""Schedule: a network as programs of packed ops, and single layers where there is no packed op."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.lowering.lowered import Layer, Lowered
from intsim.plan.packed.accept import accept, input_image
from intsim.plan.packed.fuse import Group, consumers, fuse
from intsim.plan.packed.image import Image
from intsim.plan.packed.op import PackedOp
from intsim.plan.packed.program import Program, Share
from intsim.plan.packed.transfer import REFUSED, Enter, Leave, PackedQuantize
from intsim.ranges import Bounds

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """A program, the values that it reads as arrays, and those that it makes, as arrays of that dtype."""

    program: Program
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    made: Mapping[str, tuple[Image, np.dtype[Any]]]

    def compute(self, values: Mapping[str, Array], threads: int, share: Share) -> dict[str, Array]:
        """The arrays that it makes, by value name. Errors: ValueError for reals that no format takes."""
        arrays = {name: np.ascontiguousarray(values[name]) for name in self.inputs}
        images = len(next(iter(arrays.values())))
        refused = {name + REFUSED: np.zeros(1, np.int64) for name in self._reals}
        results = {name: np.empty((images, *image.shape), dtype) for name, (image, dtype) in self.made.items()}
        self.program.run({**arrays, **refused, **results}, images, threads, share)
        for name, count in refused.items():
            if count[0]:
                raise ValueError(f"{name.removesuffix(REFUSED)!r} holds a NaN or an infinity, which has no code")
        return results

    @property
    def _reals(self) -> tuple[str, ...]:
        return tuple(op.layers[0].inputs[0] for op in self.program.ops if isinstance(op, PackedQuantize))


def choose_ops(
    lowered: Lowered, layers: Sequence[Layer], bounds: Mapping[str, Bounds], isa: str, kept: Collection[str]
) -> list[tuple[Group, PackedOp | str]]:
    """Each group of layers with its packed op, or with the reason why it has none."""
    known: dict[str, Image] = {}
    found: list[tuple[Group, PackedOp | str]] = []
    for group in fuse(layers, kept):
        op = accept(lowered, bounds, group, known, isa)
        found.append((group, op))
        if isinstance(op, str):
            known.clear()  # behind a layer that runs by itself a new program begins
        else:
            known[op.output] = op.image
    return found


def schedule(
    lowered: Lowered, layers: Sequence[Layer], bounds: Mapping[str, Bounds], isa: str, kept: Collection[str]
) -> list[Part | Layer]:
    """The network as programs and single layers, in order; kept: values that come out of it as arrays."""
    readers = consumers(layers)
    result: list[Part | Layer] = []
    run: list[PackedOp] = []

    def close() -> None:
        if any(not op.alias for op in run):
            result.append(_part(lowered, run, readers, kept))
        else:
            result.extend(layer for op in run for layer in op.layers)
        run.clear()

    for group, op in choose_ops(lowered, layers, bounds, isa, kept):
        if isinstance(op, str):
            close()
            result.extend(group.layers)
        else:
            run.append(op)
    close()
    return result


def _part(
    lowered: Lowered, run: Sequence[PackedOp], readers: Mapping[str, Sequence[Layer]], kept: Collection[str]
) -> Part:
    inside = {layer.name for op in run for layer in op.layers}
    made = {op.output for op in run}
    ops: list[PackedOp] = []
    inputs: list[str] = []
    results: dict[str, tuple[Image, np.dtype[Any]]] = {}
    entered: set[str] = set()
    for op in run:
        for name in op.inputs:
            if name not in made and name not in entered:
                image = input_image(lowered, name)
                assert isinstance(image, Image), "an input of a packed op is packed"
                ops.append(Enter(name, image))
                entered.add(name)
                inputs.append(name)
        if isinstance(op, PackedQuantize):
            inputs.append(op.layers[0].inputs[0])
        ops.append(op)
        name = op.output
        if name in kept or any(layer.name not in inside for layer in readers.get(name, ())):
            ops.append(Leave(name, op.image))
            format = lowered.values[name]
            assert format is not None, "what is packed has a format"
            results[name] = op.image, np.dtype(np.int32) if op.image.wide else format.dtype
    layers = tuple(layer for op in run for layer in op.layers)
    return Part(Program(ops), layers, tuple(dict.fromkeys(inputs)), results)
