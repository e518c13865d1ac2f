"""Schedule: a network as programs of packed ops, and single layers where there is no packed op."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.formats import Format
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan.packed.accept import accept, input_image
from intsim.plan.packed.fuse import Group, consumers, fuse
from intsim.plan.packed.image import BYTE, Image
from intsim.plan.packed.layout import values_in_rows
from intsim.plan.packed.op import PackedOp
from intsim.plan.packed.ops.count import Count, tally
from intsim.plan.packed.ops.transfer import REFUSED, Enter, Leave, PackedQuantize
from intsim.plan.packed.program import Program, Share
from intsim.plan.packed.unsigned import values_without_sign
from intsim.plan.wanted import Wanted
from intsim.ranges.bounds import Bounds
from intsim.taps.counters import Counters, Tally

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Made:
    """What a program made of `images` images: arrays by value name, and the array of its counts."""

    arrays: Mapping[str, Array]
    counts: Array
    images: int


@dataclass(frozen=True)
class Segment:
    """A program, the values that it reads as arrays and those that it makes, [images, *image.shape] of that dtype.

    counters: what it counts, and where.
    """

    program: Program
    layers: tuple[Layer, ...]
    inputs: Mapping[str, tuple[Image, np.dtype[Any]]]
    made: Mapping[str, tuple[Image, np.dtype[Any]]]
    counters: Counters

    def compute(self, values: Mapping[str, Array], threads: int, share: Share) -> Made:
        """What it makes of the arrays that it reads.

        Errors: OutOfDomain for arrays of another shape or dtype, and for reals that no format takes, naming the node.
        """
        arrays = {name: np.ascontiguousarray(values[name]) for name in self.inputs}
        images = len(next(iter(arrays.values())))
        for name, (image, dtype) in self.inputs.items():
            _check(name, arrays[name], (images, *image.shape), dtype)
        results = {name: np.empty((images, *image.shape), dtype) for name, (image, dtype) in self.made.items()}
        counts = self.counters.new(images)
        self.program.run({**arrays, **results}, counts, images, threads, share)
        for layer in self._quantizers:
            name = layer.inputs[0]
            if counts[self.counters.at[name + REFUSED]]:
                what = f"{name!r} holds a NaN or an infinity, which has no code"
                raise OutOfDomain(f"node {layer.node!r} ({layer.op}): {what}")
        return Made(results, counts, images)

    @cached_property
    def _quantizers(self) -> tuple[Layer, ...]:
        return tuple(op.layers[0] for op in self.program.ops if isinstance(op, PackedQuantize))


def _check(name: str, array: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """A program reads the bytes that it expects, whatever lies there."""
    if array.shape != shape or array.dtype != dtype:
        found = f"{array.dtype}{list(array.shape)}"
        raise OutOfDomain(f"{name!r} must be {dtype}{list(shape)}, not {found}")


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
    bare = values_without_sign(lowered, rows) if isa == "avx2" else frozenset()
    found: list[tuple[Group, PackedOp | str]] = []
    for group in fuse(layers, kept):
        op = accept(lowered, bounds, group, known, isa, rows, bare)
        clipping = next((layer.outputs[0] for layer in group.layers if layer.outputs[0] in clipped), None)
        if isinstance(op, PackedOp) and clipping is not None:
            op = op.counting_clipped(clipping) if op.clips else "it has no form that counts what is clipped"
        found.append((group, op))
        if isinstance(op, str) or op.output in replaced:
            known.clear()  # after a layer that runs by itself, or whose readers are given codes, a new program begins
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
) -> list[Segment | Layer]:
    """The network as programs and single layers, in order.

    known: ops of the same network and instruction set by layers and kernel, whose packed weights serve again; it grows.
    """
    known = {} if known is None else known
    readers = consumers(layers)
    rows = values_in_rows(lowered)
    result: list[Segment | Layer] = []
    run: list[tuple[Group, PackedOp]] = []

    def close() -> None:
        if any(not op.alias for _, op in run):
            result.append(_segment(lowered, run, readers, wanted, isa, rows))
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


def _segment(
    lowered: Lowered,
    run: Sequence[tuple[Group, PackedOp]],
    readers: Mapping[str, Sequence[Layer]],
    wanted: Wanted,
    isa: str,
    rows: Collection[str],
) -> Segment:
    layers = tuple(layer for group, _ in run for layer in group.layers)
    inside = {layer.name for layer in layers}
    made = {op.output for _, op in run}
    ops: list[PackedOp] = []
    inputs: dict[str, tuple[Image, np.dtype[Any]]] = {}
    results: dict[str, tuple[Image, np.dtype[Any]]] = {}
    tallies: dict[str, Tally] = {}
    flags: dict[str, int] = {}
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
            flags[op.layers[0].inputs[0] + REFUSED] = 1
        if op.counting:
            flags[op.clipped] = 2
        ops.append(op)
        name, format = op.output, _format(lowered, op.output)
        counted = name in wanted.counted
        if counted and op.image.size == BYTE:
            tallies[name] = tally(op, format, wanted.counted[name], tallies)
            if tallies[name].clamp is None:
                ops.append(Count(name, op.image, format.bits, tallies[name].histogram, isa))
        read = name not in wanted.replaced and any(layer.name not in inside for layer in readers.get(name, ()))
        if name in wanted.arrays or read or (counted and name not in tallies):
            ops.append(Leave(name, op.image))
            results[name] = op.image, np.dtype(np.int32) if op.image.wide else format.dtype
    counters = Counters(tallies, flags)
    return Segment(Program(ops, counters), layers, inputs, results, counters)


def _format(lowered: Lowered, name: str) -> Format:
    format = lowered.values[name]
    assert format is not None, "what is packed has a format"
    return format
