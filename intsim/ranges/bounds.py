"""Bounds: what one accumulator can hold, by channel, and the widths that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Bounds:
    """What one accumulator can hold, one Python integer a channel (one for all where no operand is constant).

    low, high: the least and the greatest sum, with zero points, padding, bias and constant. Some input attains them.
    Where spills round, their errors are included, and no input need attain the bound.
    partial_low, partial_high: of every partial sum, whatever the order of the additions.
    bits: the narrowest accumulator, two's complement, that holds every value at which its overflow rule looks.
    Rules that clamp after each product look at each partial sum in MAC order. All others look after each pass and at
    the end: a modular sum may leave its range and come back. Where zero points are corrected afterwards, the sum of raw
    products counts as well.
    needed_bits: the largest of bits. declared_bits: the target's accumulator.
    tree_bits, tree_declared: the same of the adder tree's nodes. spill_bits, spill_declared: of the partial sums
    between passes. None where there are none, or where nothing limits them.
    cannot_overflow: each fits in what is declared, so that no input makes anything leave its range.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    partial_low: tuple[int, ...]
    partial_high: tuple[int, ...]
    bits: tuple[int, ...]
    declared_bits: int
    tree_bits: int | None = None
    tree_declared: int | None = None
    spill_bits: int | None = None
    spill_declared: int | None = None

    @property
    def needed_bits(self) -> int:
        """The smallest accumulator that is provably safe."""
        return max(self.bits)

    @property
    def cannot_overflow(self) -> bool:
        """Whether no input can leave the declared accumulator, a node of its tree or a spill."""
        pairs = [(self.tree_bits, self.tree_declared), (self.spill_bits, self.spill_declared)]
        return self.needed_bits <= self.declared_bits and all(
            needed <= declared for needed, declared in pairs if needed is not None and declared is not None
        )

    def partial_bits(self) -> int:
        """The width that holds every partial sum in any order."""
        return signed_bits(min(self.partial_low), max(self.partial_high))


def joined(parts: Sequence[Bounds]) -> Bounds:
    """The Bounds of a layer whose channels were bounded in parts."""

    def widest(bits: Sequence[int | None]) -> int | None:
        return max((n for n in bits if n is not None), default=None)

    return replace(
        parts[0],
        low=tuple(v for p in parts for v in p.low),
        high=tuple(v for p in parts for v in p.high),
        partial_low=tuple(v for p in parts for v in p.partial_low),
        partial_high=tuple(v for p in parts for v in p.partial_high),
        bits=tuple(v for p in parts for v in p.bits),
        tree_bits=widest([p.tree_bits for p in parts]),
        spill_bits=widest([p.spill_bits for p in parts]),
    )


def signed_bits(low: int, high: int) -> int:
    """The narrowest two's complement width that holds both integers."""
    return max((-low - 1 if low < 0 else low).bit_length(), (-high - 1 if high < 0 else high).bit_length()) + 1
