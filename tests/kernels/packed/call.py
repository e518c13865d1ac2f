"""Packed ops on rows made by hand: memory with guarded slack, float32 bits, and calls in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim.kernels.packed import isa, rows

Bytes = npt.NDArray[np.uint8]

SLACK = 64
"""Bytes before and behind every packed buffer."""

GUARD = 0xA5

needs_instructions = pytest.mark.skipif(
    isa.available() == ("portable",), reason="this processor has no instruction set of the packed kernels"
)

ISAS = tuple(name for name in isa.available() if name != "portable")


def buffer(size: int) -> tuple[Bytes, Bytes]:
    """Zeroed memory of so many bytes, aligned to 64, and all of it with its slack of GUARD bytes."""
    raw = np.zeros(size + 3 * SLACK, np.uint8)
    first = -raw.ctypes.data % SLACK
    whole = raw[first : first + size + 2 * SLACK]
    whole[:SLACK] = whole[SLACK + size :] = GUARD
    return whole[SLACK : SLACK + size], whole


def guarded(whole: Bytes) -> bool:
    """Whether nothing was written to the slack."""
    return bool((whole[:SLACK] == GUARD).all() and (whole[-SLACK:] == GUARD).all())


def float_bits(value: float) -> int:
    """The float32 bits of a number."""
    return int(np.float32(value).view(np.int32))


def call(op: Any, columns: Mapping[int, Any], parts: int = 1) -> None:
    """Run all units of an op in so many parts, the last part first. Arrays among the columns: their address."""
    row = np.zeros(rows.COLUMNS, np.int64)
    for column, value in columns.items():
        row[column] = value.ctypes.data if isinstance(value, np.ndarray) else value
    total = int(row[rows.TOTAL])
    for part in reversed(range(parts)):
        assert op.ctypes(row.ctypes.data, part * total // parts, (part + 1) * total // parts) == 0


def packed(codes: npt.NDArray[Any], pixel: int, signed: bool, pad: int = 0) -> Bytes:
    """Codes [C, H, W] as stored bytes [H + 2 * pad, W + 2 * pad, pixel]; what is padded holds other bytes."""
    channels, height, width = codes.shape
    image = np.full((height + 2 * pad, width + 2 * pad, pixel), 77, np.uint8)
    stored = codes.transpose(1, 2, 0).astype(np.int64) + 128 * signed
    image[pad : pad + height, pad : pad + width, :channels] = stored
    return image
