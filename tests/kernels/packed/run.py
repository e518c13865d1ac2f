"""Packed ops on arrays: memory with guarded slack, rows of the op table, and calls in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim.kernels.packed import isa
from intsim.kernels.packed.ir import NUMBERS, VECTORS
from intsim.kernels.packed.rows import COLUMNS, OUT, TOTAL

Bytes = npt.NDArray[np.uint8]

SLACK = 64
GUARD = 0xA5
"""What lies where an op must not write."""

ISAS = tuple(name for name in isa.available() if name in NUMBERS)
"""The instruction sets of packed kernels that this processor has."""

needs_instructions = pytest.mark.skipif(not ISAS, reason="this processor has no instruction set of the packed kernels")

each_isa = pytest.mark.parametrize(
    "number",
    [NUMBERS[name] for name in ISAS] or [pytest.param(0, marks=needs_instructions)],
    ids=lambda number: VECTORS[number].isa,
)


def in_turn(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Parameters (*row, isas) of a test: each row with one instruction set in turn; for a release the others too."""
    found = []
    for number, row in enumerate(rows):
        turn = ISAS[number % len(ISAS)] if ISAS else ""
        others = tuple(name for name in ISAS if name != turn)
        found.append(pytest.param(*row, (turn,)))
        if others:
            found.append(pytest.param(*row, others, marks=pytest.mark.release))
    return found


class Buffer:
    """An image's bytes, channels last, in its physical padding, with slack before and after it.

    codes: int[C, H, W] of stored bytes. pads: top, left, bottom, right, filled with `fill`. Padded channels hold noise.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        fill: int = GUARD,
        dtype: Any = np.uint8,
    ) -> None:
        self.shape, self.pads = shape, pads
        channels, height, width = shape
        self.channels = 4 if channels <= 4 else -(-channels // 16) * 16
        size = np.dtype(dtype).itemsize
        self.lines, self.line = pads[0] + height + pads[2], (pads[1] + width + pads[3]) * self.channels * size
        self.pixel = self.channels * size
        self.memory = np.full(self.lines * self.line + 2 * SLACK, fill, np.uint8)
        self.whole = self.memory[SLACK:-SLACK].view(dtype).reshape(self.lines, -1, self.channels)
        self.image = self.whole[pads[0] : pads[0] + height, pads[1] : pads[1] + width]

    def fill(self, codes: npt.NDArray[Any], seed: int = 0) -> Buffer:
        """The buffer with these codes in it."""
        self.image[...] = np.random.default_rng(seed).integers(0, 256, self.image.shape)
        self.image[..., : self.shape[0]] = codes.transpose(1, 2, 0)
        return self

    @property
    def address(self) -> int:
        """Of the first pixel of the image."""
        return self.memory.ctypes.data + SLACK + self.pads[0] * self.line + self.pads[1] * self.pixel

    def codes(self) -> npt.NDArray[Any]:
        """int[C, H, W]; fails if anything is written outside the image's pixels."""
        around = self.whole.copy()
        around[self.pads[0] : self.pads[0] + self.shape[1], self.pads[1] : self.pads[1] + self.shape[2]] = (
            np.frombuffer(bytes([GUARD]) * around.itemsize, around.dtype)
        )
        assert (around.view(np.uint8) == GUARD).all(), "written into the padding"
        assert guarded(self.memory), "written outside"
        return self.image[..., : self.shape[0]].transpose(2, 0, 1).copy()


def buffer(size: int) -> tuple[Bytes, Bytes]:
    """Zeroed memory of N bytes, aligned to 64, and all of it with its slack of GUARD bytes."""
    raw = np.zeros(size + 3 * SLACK, np.uint8)
    first = -raw.ctypes.data % SLACK
    whole = raw[first : first + size + 2 * SLACK]
    whole[:SLACK] = whole[SLACK + size :] = GUARD
    return whole[SLACK : SLACK + size], whole


def guarded(whole: Bytes) -> bool:
    """Whether nothing was written to the slack."""
    return bool((whole[:SLACK] == GUARD).all() and (whole[-SLACK:] == GUARD).all())


def bits(value: float) -> int:
    """The bits of a float32, as a column of a row holds them."""
    return int(np.float32(value).view(np.int32))


def make_row(columns: Mapping[int, Any]) -> npt.NDArray[np.int64]:
    """int64[COLUMNS] of a row; an array stands for its address, and must outlive the row."""
    row = np.zeros(COLUMNS, np.int64)
    for column, value in columns.items():
        row[column] = value.ctypes.data if isinstance(value, np.ndarray) else value
    return row


def aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy that starts at a multiple of 64 bytes."""
    copy = buffer(array.nbytes)[0].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def call(op: Any, columns: Mapping[int, Any], parts: int = 1) -> None:
    """Run all units of an op in N parts, the last part first."""
    row = make_row(columns)
    total = int(row[TOTAL])
    for part in reversed(range(parts)):
        assert op.ctypes(row.ctypes.data, part * total // parts, (part + 1) * total // parts) == 0


def run(op: Any, columns: Mapping[int, Any], total: int, out: Buffer) -> npt.NDArray[Any]:
    """The codes of an op's output, the same however its units are divided into parts."""
    results = []
    for parts in (1, 3, total):
        out.memory[:] = GUARD
        call(op, {OUT: out.address, TOTAL: total, **columns}, parts)
        results.append(out.codes())
    assert all((result == results[0]).all() for result in results)
    return results[0]
