"""Addition and subtraction of packed codes whose scales differ by powers of two."""

from __future__ import annotations

from typing import Any

from intsim.kernels.packed.ops import pairs
from intsim.kernels.packed.ops.pairs import NUMBERS

ADD, SUB = NUMBERS["add"], NUMBERS["sub"]


def make(subtract: int, epilogue: int, isa: int, count: int, vectors: int) -> Any:
    """The cfunc of add, or of sub: the walk, its units and its columns are those of `pairs.make`.

    stored = epilogue((a << FACTOR_A) ± (b << FACTOR_B) + START) on stored codes a and b; START: see `start`. The
    epilogue is `shift` or `ties`, its vectors in the columns from SCALARS on. LOW, HIGH, OFFSET as everywhere: codes
    less the zero point; LOW and HIGH may be narrower than the format, which fuses a Relu or a Clip.
    """
    return pairs.make(SUB if subtract else ADD, epilogue, isa, count, vectors)


def start(shifts: tuple[int, int], zeros: tuple[int, int], subtract: bool, always: int) -> int:
    """START: the rounding term that is always added, less the stored zero points, aligned."""
    return always - (zeros[0] << shifts[0]) + (zeros[1] << shifts[1]) * (1 if subtract else -1)


def fits(
    shifts: tuple[int, int],
    zeros: tuple[int, int],
    subtract: bool,
    always: int,
    negative: int = 0,
    odd: int = 0,
    ends: tuple[int, int] = (0, 255),
) -> bool:
    """Whether i32 holds each sum of two stored codes with its rounding terms, so that `make` is exact.

    shifts: 0 or more, of the operands; zeros: their stored zero points; always, negative, odd: the rounding terms;
    ends: the least and the greatest code that can be stored.
    """
    if max(shifts) > 31:
        return False
    constant = start(shifts, zeros, subtract, always)
    others = [(end << shifts[1]) * (-1 if subtract else 1) for end in ends]
    low, high = constant + (ends[0] << shifts[0]) + min(others), constant + (ends[1] << shifts[0]) + max(others)
    # with the terms and without any of them: what is in between is computed modulo 2**32
    terms = [0, -always, negative, odd, negative + odd]
    return low + min(terms) >= -(1 << 31) and high + max(terms) < 1 << 31
