"""PackedOp: what each packed op tells of itself, and the table that it writes its rows into."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from intsim.kernels.packed.rows import BORDER_FIELDS, COUNTS, FUNCTION, TOTAL
from intsim.lowering.lowered import Layer
from intsim.plan.packed.image import Image, Padding
from intsim.taps.counters import CLIPPED

Array = np.ndarray[Any, Any]

LINE = 64
"""Bytes to which buffers, weights and parameters are aligned."""


@dataclass(frozen=True)
class Place:
    """Where an image lies in a workspace: `first` is the offset of its first pixel, inside the padding around it.

    arena: the number of the arena; stride: bytes from one image to the next, 0 where there is one at a time. channel:
    bytes of a pixel before the first channel that is meant.
    """

    image: Image
    padding: Padding
    arena: int
    offset: int
    stride: int = 0
    channel: int = 0

    @property
    def line(self) -> int:
        """Bytes of a line of pixels, padding included."""
        return (self.padding.left + self.image.width + self.padding.right) * self.image.pixel

    @property
    def first(self) -> int:
        """The offset of the first pixel."""
        return self.offset + self.padding.top * self.line + self.padding.left * self.image.pixel + self.channel

    @property
    def bytes(self) -> int:
        """The size of the image with its padding."""
        return (self.padding.top + self.image.height + self.padding.bottom) * self.line


@dataclass(frozen=True)
class External:
    """An array that a run is given or gives, by name; stride: bytes from one image to the next, 0 for one of all."""

    name: str
    stride: int


@dataclass
class TableRow:
    """One row of the op table: the cfunc, units of work, columns.

    operands: column -> the place whose first pixel it addresses, or the array. keep: arrays whose addresses are in the
    columns.
    """

    function: Any
    total: int
    columns: dict[int, int]
    operands: dict[int, Place | External]
    keep: list[Array] = field(default_factory=list)

    def fill(self, row: Array) -> None:
        """Write what does not depend on a workspace."""
        row[FUNCTION], row[TOTAL] = self.function.address, self.total
        for column, value in self.columns.items():
            row[column] = value


class PackedOp(ABC):
    """One or more layers that one packed op computes.

    kernel, reason: for people. inputs, output: values ("" for none that is packed); image: the output's. whole: it
    takes all images at once. alias: it computes nothing, the output is the input under another name and shape.
    products: how many it sums up for an image. clips: whether it can count what its output format clips; counting:
    whether it does, in the flag `clipped`, int64[2].
    """

    layers: tuple[Layer, ...]
    kernel: str
    reason: str
    inputs: tuple[str, ...]
    output: str
    image: Image
    whole = False
    alias = False
    clips = False
    counting = False
    clipped = ""
    products = 0

    def padding(self, source: str) -> Padding:
        """The padding that it reads around an input."""
        return Padding()

    @property
    def packing(self) -> tuple[object, ...]:
        """What else than its layers and kernel the order of its packed weights depends on."""
        return ()

    def share(self, twin: PackedOp) -> None:
        """Take over the weights that an op of the same layers, kernel and packing has packed, where it has."""
        if "packed" in vars(twin):
            vars(self)["packed"] = vars(twin)["packed"]

    def parts(self) -> Sequence[PackedOp]:
        """The ops that carry it out one after the other, all with its output."""
        return (self,)

    def counting_clipped(self, value: str) -> Self:
        """The same op, which also counts what the layer that makes a value clips."""
        other = copy.copy(self)
        other.counting, other.clipped = True, value + CLIPPED
        return other

    def counts(self) -> dict[int, Place | External]:
        """The operand of what it counts."""
        return {COUNTS: External(self.clipped, 0)} if self.counting else {}

    @abstractmethod
    def row(self, places: Mapping[str, Place], images: int) -> TableRow:
        """Its row of the op table, for `images` images at most."""


def border(place: Place, base: int) -> Array:
    """What the interpreter needs to fill the padding of a place: int64[BORDER_FIELDS]."""
    p, image = place.padding, place.image
    fields = [base + place.offset, image.height, image.width, image.pixel]
    fields += [p.top, p.left, p.bottom, p.right, image.zero, image.size]
    assert len(fields) == BORDER_FIELDS
    return np.array(fields, np.int64)


def float_bits(value: Any) -> int:
    """The bits of a float32, as a column holds them."""
    return int(np.float32(value).view(np.int32))


def aligned(size: int) -> Array:
    """Zeroed bytes, aligned to a cache line."""
    memory = np.zeros(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size]


def aligned_copy(array: Array) -> Array:
    """The bytes of an array in C order, aligned to a cache line."""
    copy = aligned(array.nbytes)
    copy.view(array.dtype).reshape(array.shape)[...] = array
    return copy
