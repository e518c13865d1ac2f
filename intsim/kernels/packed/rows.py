"""The columns of the op table: int64[ops, COLUMNS], one row an op; addresses are in bytes."""

from __future__ import annotations

COLUMNS = 32

FUNCTION = 0
"""The address of the op's cfunc: int64(row address, start, stop)."""
TOTAL = 1
"""Units of work: the op is done when its cfunc has had each of 0 <= unit < TOTAL once."""
BORDER = 2
"""The address of int64[BORDER_FIELDS], the padding around the output that has to be filled; 0 where there is none."""

OUT, IN, IN2 = 3, 4, 5
"""The addresses of the first output pixel, and of the first pixel of each input (not of its padding)."""
LOW, HIGH, OFFSET = 6, 7, 8
"""Results are clamped to [LOW, HIGH], then OFFSET is added, the zero point and what makes stored bytes of codes.
Float epilogues have float32 bits in LOW and HIGH."""
COUNTS, CLIP_LOW, CLIP_HIGH = 9, 10, 11
"""Where results below CLIP_LOW and above CLIP_HIGH are counted (int64[2]); for variants that count."""
FREE = 12
"""The first column that means something to one op only."""

BORDER_FIELDS = 10
"""Address of the buffer, height, width, a pixel's bytes, top, left, bottom, right, the element filled in, its bytes."""
