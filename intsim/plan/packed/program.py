"""Program: a chain of packed ops as an op table, its buffers, and the run of it on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intsim.kernels.packed.program import (
    IMAGES,
    JOB,
    LINES,
    OPS,
    PLACE_COUNT,
    PLACES,
    SEGMENT_COUNT,
    SEGMENTS,
    SHARED,
    TABLES,
    make_job,
    run_program,
)
from intsim.kernels.packed.rows import BORDER, COLUMNS
from intsim.plan.packed.image import Padding
from intsim.plan.packed.memory import Interval, allocate
from intsim.plan.packed.op import LINE, External, PackedOp, Place, TableRow, aligned, border
from intsim.taps.counters import Counters

Array = np.ndarray[Any, Any]

Share = Callable[[int, int], None]
"""Calls the C function int64(argument, thread, threads) at an address with this argument, in each of the threads."""

OWN, SLOTS = 0, 1
"""Arenas: of each thread, for one image at a time; of all, with a slot for each image."""

WORKSPACES = 3
"""Workspaces that are kept for the next run: those used last."""

WORTH_THREADS = 1 << 24
"""Products of a run from which on more threads than one are quicker: they wait for each other after each op."""

SLACK = 64
"""Bytes before and after each buffer, which whole vectors may touch."""


@dataclass(frozen=True)
class Span:
    """Ops [first, stop) that take one image at a time, or all of them at once (`whole`)."""

    first: int
    stop: int
    whole: bool


class Program:
    """Packed ops in order; never changed. Workspaces hold what a run writes.

    arrays: the arrays that a run is given or gives, by name; an op's External operands name them, or the places of
    counters, which are all in one array of its own.
    """

    def __init__(self, ops: Sequence[PackedOp], counters: Counters | None = None) -> None:
        self.counters = counters or Counters({}, {})
        self.ops = tuple(part for op in ops if not op.alias for part in op.parts())
        self.segments = _segments(self.ops)
        self._products = sum(op.products for op in self.ops)
        self.places, self.sizes = _places(self.ops, self.segments, [op for op in ops if op.alias])
        self._single: list[TableRow | None] | None = None
        self._workspaces: dict[tuple[int, int], Workspace] = {}

    def rows(self, images: int) -> tuple[TableRow, ...]:
        """The rows of the op table for runs of `images` images."""
        if self._single is None:
            self._single = [None if op.whole else op.row(self.places, 1) for op in self.ops]
        return tuple(
            op.row(self.places, images) if row is None else row for op, row in zip(self.ops, self._single, strict=True)
        )

    def run(self, arrays: Mapping[str, Array], counts: Array, images: int, threads: int, share: Share) -> None:
        """Compute the output arrays from the input arrays, all [images, ...] and contiguous; add to the counts.

        Errors: none; the arrays' shapes and dtypes are the caller's.
        """
        if images * self._products < WORTH_THREADS:
            threads = 1
        key = images, threads
        workspace = self._workspaces.pop(key, None) or Workspace(self, images, threads)
        workspace.bind(arrays, counts)
        workspace.run(share)
        self._workspaces[key] = workspace  # taken out while it runs, so that no two runs share it
        while len(self._workspaces) > WORKSPACES:
            self._workspaces.pop(next(iter(self._workspaces)), None)


class Workspace:
    """The memory of a run: buffers, tables with their addresses, and what threads share."""

    def __init__(self, program: Program, images: int, threads: int) -> None:
        self.program, self.images, self.threads = program, images, threads
        rows = self._rows = program.rows(images)  # kept, for they keep the arrays that the tables point to
        self._own = [aligned(program.sizes[OWN]) for _ in range(threads)]
        self._slots = aligned(program.sizes[SLOTS] * images)
        self._tables = np.zeros((threads, len(rows), COLUMNS), np.int64)
        self._shared = aligned(LINES * LINE)
        self._borders: list[Array] = []
        self._segments = np.array([[s.first, s.stop, s.whole] for s in program.segments], np.int64).reshape(-1, 3)
        moving: list[tuple[int, int, int, int]] = []
        self._external: list[tuple[str, int, int, int]] = []
        counted: list[tuple[int, int, int, int]] = []
        single = {op for s in program.segments if not s.whole for op in range(s.first, s.stop)}
        for number, (op, row) in enumerate(zip(program.ops, rows, strict=True)):
            for thread in range(threads):
                row.fill(self._tables[thread, number])
            for column, operand in row.operands.items():
                if isinstance(operand, External) and operand.name in program.counters.places:
                    first, stride = program.counters.places[operand.name]
                    counted.append((number, column, len(moving), first))
                    moving.append((number, column, 0, stride))
                elif isinstance(operand, External):
                    self._external.append((operand.name, number, column, len(moving)))
                    moving.append((number, column, 0, operand.stride))
                elif operand.arena == OWN:
                    for thread, arena in enumerate(self._own):
                        self._tables[thread, number, column] = arena.ctypes.data + operand.first
                else:
                    address = self._slots.ctypes.data + operand.offset * images + operand.first - operand.offset
                    self._tables[:, number, column] = address
                    if number in single:
                        moving.append((number, column, address, operand.stride))
            self._pad(program.places.get(op.output), number)
        self._moving = np.array(moving, np.int64).reshape(-1, 4)
        self._job = np.zeros(JOB, np.int64)
        for field, array in ((TABLES, self._tables), (SEGMENTS, self._segments), (PLACES, self._moving)):
            self._job[field] = array.ctypes.data
        lengths = len(rows), len(self._segments), len(self._moving)
        self._job[[OPS, SEGMENT_COUNT, PLACE_COUNT, IMAGES, SHARED]] = *lengths, images, self._shared.ctypes.data
        self._counted = np.array(counted, np.int64).reshape(-1, 4).T

    def _pad(self, place: Place | None, number: int) -> None:
        """Fill the padding of a slotted value once and for all; have that of others filled by the op that makes it."""
        if place is None or not place.padding.any:
            return
        if place.arena == SLOTS:
            start = place.offset * self.images
            slots = self._slots[start : start + place.stride * self.images]
            slots.view(place.image.dtype)[:] = place.image.zero
            return
        for thread, arena in enumerate(self._own):
            self._borders.append(border(place, arena.ctypes.data))
            self._tables[thread, number, BORDER] = self._borders[-1].ctypes.data

    def bind(self, arrays: Mapping[str, Array], counts: Array) -> None:
        """Set the addresses of the arrays."""
        op, column, at, first = self._counted
        addresses = counts.ctypes.data + first
        self._moving[at, 2] = addresses
        self._tables[:, op, column] = addresses
        for name, number, place, moving in self._external:
            address = arrays[name].ctypes.data
            self._moving[moving, 2] = address
            self._tables[:, number, place] = address

    def run(self, share: Share) -> None:
        """Run the program with its threads."""
        shared = self._shared.ctypes.data
        if self.threads == 1:
            run_program(self._tables, self._segments, self._moving, self.images, 0, 1, shared)
        else:
            share(make_job().address, self._job.ctypes.data)


def _segments(ops: Sequence[PackedOp]) -> tuple[Span, ...]:
    found: list[Span] = []
    for number, op in enumerate(ops):
        if found and found[-1].whole == op.whole:
            found[-1] = replace(found[-1], stop=number + 1)
        else:
            found.append(Span(number, number + 1, op.whole))
    return tuple(found)


def _places(
    ops: Sequence[PackedOp], segments: Sequence[Span], aliases: Sequence[PackedOp]
) -> tuple[dict[str, Place], tuple[int, int]]:
    """Where each value lies, and the sizes of the arenas (of SLOTS: for one image).

    A value that one segment makes and reads lies in the thread's own arena, over others that are no longer needed;
    every other has a slot for each image.
    """
    root = {op.output: op.output for op in ops if op.output}
    for alias in aliases:
        root[alias.output] = root[alias.inputs[0]]
    segment_of = {op: n for n, s in enumerate(segments) for op in range(s.first, s.stop)}
    images = {op.output: op.image for op in (*ops, *aliases) if op.output}
    paddings: dict[str, Padding] = {}
    spans: dict[str, tuple[int, int]] = {}
    seen: dict[str, set[int]] = {}
    for number, op in enumerate(ops):
        for name in (root[name] for name in op.inputs if name in root):
            spans[name] = (spans[name][0], number)
            seen[name].add(segment_of[number])
        for name in op.inputs:
            if name in root:
                paddings[root[name]] |= op.padding(name)
        if op.output:
            first = spans.get(op.output, (number, number))[0]
            spans[op.output] = first, number
            seen.setdefault(op.output, set()).add(segment_of[number])
            paddings.setdefault(op.output, Padding())
    own: dict[str, Interval] = {}
    places: dict[str, Place] = {}
    slots = 0
    for name, (first, last) in spans.items():
        place = Place(images[name], paddings[name], OWN, 0)
        size = -(-(place.bytes + 2 * SLACK) // LINE) * LINE
        if len(seen[name]) == 1 and not segments[segment_of[first]].whole:
            own[name] = Interval(first, last, size)
            places[name] = place
        else:
            places[name] = replace(place, arena=SLOTS, offset=slots + SLACK, stride=size)
            slots += size
    offsets, total = allocate(own)
    for name, offset in offsets.items():
        places[name] = replace(places[name], offset=offset + SLACK)
    for alias in aliases:
        places[alias.output] = replace(places[root[alias.output]], image=alias.image)
    return places, (total + LINE, slots + LINE)
