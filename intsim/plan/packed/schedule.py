"""Schedule: a network as programs of packed ops, and single layers where there is no packed op."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.formats import Format
from intsim.kernels.packed.count import NOTHING
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan.packed.accept import accept, input_image
from intsim.plan.packed.count import BYTES, FOUND, HISTOGRAM, Count
from intsim.plan.packed.fuse import Group, consumers, fuse
from intsim.plan.packed.image import BYTE, Image
from intsim.plan.packed.layout import values_in_rows
from intsim.plan.packed.op import PackedOp
from intsim.plan.packed.program import Program, Share
from intsim.plan.packed.transfer import REFUSED, Enter, Leave, PackedQuantize
from intsim.plan.stages import Wanted
from intsim.ranges import Bounds
from intsim.taps import Counted

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Made:
    """What a program made: arrays and counts by value name; what was clipped, by the value of the layer that clips."""

    arrays: Mapping[str, Array]
    counted: Mapping[str, Counted]
    clipped: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Part:
    """A program, the values that it reads as arrays and those that it makes, [images, *image.shape] of that dtype.

    counts: the ops that count, by value; clips: the value of the layer that clips -> the op that counts it.
    """

    program: Program
    layers: tuple[Layer, ...]
    inputs: Mapping[str, tuple[Image, np.dtype[Any]]]
    made: Mapping[str, tuple[Image, np.dtype[Any]]]
    counts: Mapping[str, tuple[Format, tuple[Count, ...]]]
    clips: Mapping[str, PackedOp]

    def compute(self, values: Mapping[str, Array], threads: int, share: Share) -> Made:
        """What it makes of the arrays that it reads.

        Errors: OutOfDomain for arrays of another shape or dtype, and for reals that no format takes, naming the node.
        """
        arrays = {name: np.ascontiguousarray(values[name]) for name in self.inputs}
        images = len(next(iter(arrays.values())))
        for name, (image, dtype) in self.inputs.items():
            _check(name, arrays[name], (images, *image.shape), dtype)
        refused = {layer.inputs[0] + REFUSED: np.zeros(1, np.int64) for layer in self._quantizers}
        results = {name: np.empty((images, *image.shape), dtype) for name, (image, dtype) in self.made.items()}
        clipped = {op.clipped: np.zeros(2, np.int64) for op in self.clips.values()}
        counted = {}
        for name, (_, ops) in self.counts.items():
            for op in ops:
                if op.histogram:
                    counted[name + HISTOGRAM] = np.zeros((images if op.per_image else 1, BYTES), np.int64)
                else:
                    counted[name + FOUND] = np.array(NOTHING, np.int64)
        self.program.run({**arrays, **refused, **results, **clipped, **counted}, images, threads, share)
        for layer in self._quantizers:
            name = layer.inputs[0]
            if refused[name + REFUSED][0]:
                what = f"{name!r} holds a NaN or an infinity, which has no code"
                raise OutOfDomain(f"node {layer.node!r} ({layer.op}): {what}")
        return Made(
            results,
            {
                name: _counted(format, ops[0].image, counted.get(name + HISTOGRAM), counted[name + FOUND], images)
                for name, (format, ops) in self.counts.items()
            },
            {name: (int(clipped[op.clipped][0]), int(clipped[op.clipped][1])) for name, op in self.clips.items()},
        )

    @cached_property
    def _quantizers(self) -> tuple[Layer, ...]:
        return tuple(op.layers[0] for op in self.program.ops if isinstance(op, PackedQuantize))


def _check(name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """A program reads the bytes that it expects, whatever lies there."""
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype}{list(array.shape)}"
        raise OutOfDomain(f"{name!r} must be {dtype}{list(shape)}, not {found}")


def _counted(format: Format, image: Image, histogram: Array | None, found: Array, images: int) -> Counted:
    """Counts by stored byte as counts by code."""
    first = format.low + image.offset
    counts = None if histogram is None else histogram[:, first : first + (1 << format.bits)]
    least, greatest, zeros = (int(v) for v in found)
    return Counted(counts, (least - image.offset, greatest - image.offset), zeros, images * image.elements)


def choose_ops(
    lowered: Lowered,
    layers: Sequence[Layer],
    bounds: Mapping[str, Bounds],
    isa: str,
    kept: Collection[str],
    clipped: Collection[str] = (),
    replaced: Collection[str] = (),
) -> list[tuple[Group, PackedOp | str]]:
    """Each group of layers with its packed op, or with the reason why it has none.

    kept: values that must lie in memory. clipped: values of layers whose clipped results are counted. replaced:
    values that their readers are given.
    """
    known: dict[str, Image] = {}
    rows = values_in_rows(lowered)
    found: list[tuple[Group, PackedOp | str]] = []
    for group in fuse(layers, kept):
        op = accept(lowered, bounds, group, known, isa, rows)
        if isinstance(op, PackedOp) and any(layer.outputs[0] in clipped for layer in group.layers):
            op = op.counting_clipped() if op.clips else "it has no form that counts what is clipped"
        found.append((group, op))
        if isinstance(op, str) or op.output in replaced:
            known.clear()  # behind a layer that runs by itself, or whose readers are given codes, a new program begins
        else:
            known[op.output] = op.image
    return found


def schedule(
    lowered: Lowered,
    layers: Sequence[Layer],
    bounds: Mapping[str, Bounds],
    isa: str,
    wanted: Wanted,
    known: dict[tuple[object, ...], PackedOp] | None = None,
) -> list[Part | Layer]:
    """The network as programs and single layers, in order.

    known: ops of the same network and instruction set by layers and kernel, whose packed weights serve again; it grows.
    """
    known = {} if known is None else known
    readers = consumers(layers)
    rows = values_in_rows(lowered)
    result: list[Part | Layer] = []
    run: list[tuple[Group, PackedOp]] = []

    def close() -> None:
        if any(not op.alias for _, op in run):
            result.append(_part(lowered, run, readers, wanted, isa, rows))
        else:
            result.extend(layer for group, _ in run for layer in group.layers)
        run.clear()

    kept = wanted.values | wanted.replaced
    for group, op in choose_ops(lowered, layers, bounds, isa, kept, wanted.clipped, wanted.replaced):
        if isinstance(op, str):
            close()
            result.extend(group.layers)
            continue
        names = (layer.name for layer in group.layers if layer.op != "clip")  # a clamp changes nothing that is packed
        op.share(known.setdefault((*names, op.kernel, op.packing), op))
        run.append((group, op))
        if op.output in wanted.replaced:
            close()
    close()
    return result


def _part(
    lowered: Lowered,
    run: Sequence[tuple[Group, PackedOp]],
    readers: Mapping[str, Sequence[Layer]],
    wanted: Wanted,
    isa: str,
    rows: Collection[str],
) -> Part:
    layers = tuple(layer for group, _ in run for layer in group.layers)
    inside = {layer.name for layer in layers}
    made = {op.output for _, op in run}
    ops: list[PackedOp] = []
    inputs: dict[str, tuple[Image, np.dtype[Any]]] = {}
    results: dict[str, tuple[Image, np.dtype[Any]]] = {}
    counts: dict[str, tuple[Format, tuple[Count, ...]]] = {}
    entered: set[str] = set()
    for _, op in run:
        for name in op.inputs:
            if name not in made and name not in entered:
                image = input_image(lowered, name, rows)
                assert isinstance(image, Image), "an input of a packed op is packed"
                ops.append(Enter(name, image))
                entered.add(name)
                inputs[name] = image, _format(lowered, name).dtype
        if isinstance(op, PackedQuantize):
            inputs[op.layers[0].inputs[0]] = op.image, np.dtype(np.float32)
        ops.append(op)
        name, format = op.output, _format(lowered, op.output)
        counted = name in wanted.counted
        if counted and op.image.size == BYTE:
            histogram, per_image = wanted.counted[name]
            kinds = (True, False) if histogram else (False,)
            own = tuple(Count(name, op.image, format.bits, kind, kind and per_image, isa) for kind in kinds)
            ops.extend(own)
            counts[name] = format, own
        read = name not in wanted.replaced and any(layer.name not in inside for layer in readers.get(name, ()))
        if name in wanted.arrays or read or (counted and name not in counts):
            ops.append(Leave(name, op.image))
            results[name] = op.image, np.dtype(np.int32) if op.image.wide else format.dtype
    clips = {
        layer.outputs[0]: op
        for group, op in run
        if op.counting
        for layer in group.layers
        if layer.outputs[0] in wanted.clipped
    }
    return Part(Program(ops), layers, inputs, results, counts, clips)


def _format(lowered: Lowered, name: str) -> Format:
    format = lowered.values[name]
    assert format is not None, "what is packed has a format"
    return format
