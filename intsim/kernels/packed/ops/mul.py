"""Multiplication of packed codes whose scales are powers of two."""

from __future__ import annotations

from typing import Any

from intsim.kernels.packed.ops import pairs
from intsim.kernels.packed.ops.pairs import NUMBERS


def make(epilogue: int, isa: int, count: int, vectors: int) -> Any:
    """The cfunc of mul: the walk, its units and its columns are those of `pairs.make`.

    stored = epilogue((a - ZERO_A) * (b - ZERO_B) + START) on stored bytes a and b, their stored zero points, and the
    rounding term that is always added; the epilogue is `shift` or `ties`, its vectors in the columns from SCALARS on.
    """
    return pairs.make(NUMBERS["mul"], epilogue, isa, count, vectors)


def fits(always: int, negative: int = 0, odd: int = 0) -> bool:
    """Whether i32 holds each product of two codes less their zero points with its rounding terms."""
    return 255 * 255 + sum(map(abs, (always, negative, odd))) < 1 << 31
