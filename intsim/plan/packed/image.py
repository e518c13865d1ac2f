"""Packed images: how one image's codes of a value lie in memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from intsim.formats import Format

FEW = 4
"""Channels of a pixel of an input that has at most FEW; all others have a multiple of WIDTH."""

WIDTH = 16

BYTE, WORD, SUM = 1, 2, 4
"""Bytes of a stored element: codes of at most 8 bits, u8; of at most 16, i16; raw accumulators, i32."""


@dataclass(frozen=True)
class Padding:
    """Pixels around an image."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def __or__(self, other: Padding) -> Padding:
        """The least padding that has both."""
        return Padding(
            max(self.top, other.top),
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return self != Padding()


@dataclass(frozen=True)
class Image:
    """One image of a value: [height, width, channels], channels padded, elements of `size` bytes: BYTE, WORD or SUM.

    offset: what is added to a code to get what is stored: 128 for signed codes of a byte, unless none is negative
    (unsigned.py); -32768 for unsigned ones of 16 bits. most: of bytes, no greater one is stored. zero: the stored zero
    point, which padding is filled with. shape: the value's own shape without the batch, whose elements in ONNX's order
    are [channels, height, width]; or [height, width, channels] where it is in `rows`, as matrices are: see layout.py.
    few: whether a pixel has FEW channels.
    """

    shape: tuple[int, ...]
    channels: int
    height: int
    width: int
    offset: int = 0
    zero: int = 0
    size: int = BYTE
    few: bool = False
    most: int = 255
    rows: bool = False

    @property
    def wide(self) -> bool:
        """Whether it holds raw accumulators."""
        return self.size == SUM

    @property
    def kind(self) -> str:
        """The name of a stored element's type."""
        return {BYTE: "u8", WORD: "i16", SUM: "i32"}[self.size]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of a stored element."""
        return np.dtype({BYTE: np.uint8, WORD: np.int16, SUM: np.int32}[self.size])

    @property
    def ends(self) -> tuple[int, int]:
        """The least and the greatest element that can be stored."""
        bits = 8 * self.size
        return (0, (1 << bits) - 1) if self.size == BYTE else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    @property
    def pixel(self) -> int:
        """Bytes of a pixel."""
        return (FEW if self.few else padded(self.channels)) * self.size

    @property
    def canonical(self) -> bool:
        """Whether it is an image with the axes of its value, channels first: no matrix, no other shape of an image."""
        return not self.rows and self._has_own_axes

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix, or a stack of them, [height, width, channels] with the axes of its value."""
        return self.rows and len(self.shape) > 1 and self._has_own_axes

    @property
    def _has_own_axes(self) -> bool:
        return (self.channels, self.height, self.width) == axes(self.shape, self.rows)

    @property
    def geometry(self) -> tuple[int, int, int, bool]:
        """What two images have in common whose elements lie at the same places."""
        return self.channels, self.height, self.width, self.rows

    @property
    def elements(self) -> int:
        """Codes of one image."""
        return prod(self.shape)


def padded(channels: int) -> int:
    """The number of channels in memory where vectors of them are written."""
    return -(-channels // WIDTH) * WIDTH


def image_of(
    shape: tuple[int | None, ...], format: Format | None, wide: bool = False, rows: bool = False
) -> Image | str:
    """The Image of a value of that shape, the batch first; in words why it has none. rows: see Image."""
    if format is None:
        return "it holds reals"
    size = SUM if wide else BYTE if format.bits <= 8 * BYTE else WORD
    if not wide and format.bits > 8 * WORD:
        return f"its codes have {format.bits} bits, packed ones have at most {8 * WORD}"
    if len(format.zero_point) > 1 and len(set(format.zero_point)) > 1:
        return "its zero points differ by channel"
    own = shape[1:]
    if not 2 <= len(shape) <= 4 or any(length is None or length < 1 for length in own):
        return f"its shape {list(shape)} is no batch of images of a known size"
    lengths = tuple(int(length) for length in own if length is not None)
    offset = 0
    if size == BYTE and format.signed:
        offset = 128
    if size == WORD and not format.signed and format.bits == 8 * WORD:
        offset = -(1 << 15)
    zero = 0 if wide else format.zero_point[0] + offset
    rows = rows and len(lengths) > 1
    return Image(lengths, *axes(lengths, rows), offset, zero, size, rows=rows)


def axes(shape: tuple[int, ...], rows: bool = False) -> tuple[int, int, int]:
    """Channels, height and width of a value whose one, two or three axes (less the batch) are these."""
    if rows:
        return shape[-1], shape[0] if len(shape) == 3 else 1, shape[-2]
    return shape[0], shape[1] if len(shape) == 3 else 1, shape[-1] if len(shape) > 1 else 1
