"""Summation: how the products of one output element are added up, where that can change bits."""

from __future__ import annotations

from dataclasses import dataclass

EVENTS = {"accumulator": 1, "tree": 2, "spill": 4}
"""What could not hold a value, and its bit in the events that conv and matmul return."""

ALL_EVENTS = sum(EVENTS.values())

CLAMPS = ("product", "end")
"""When a saturating accumulator clamps: after every addition, or once after the last of a pass."""


@dataclass(frozen=True)
class Summation:
    """The walk of one element's sum; the default is one product at a time, channel by channel, the bias last.

    order: the axes of a kernel w[m] (0 the channels, then the spatial ones), outermost first; None: as they are.
    clamp: one of CLAMPS.
    lanes: that many consecutive products (the last ones of a pass may be fewer: 0 for the rest) are added in a binary
    tree of neighbours before they meet the accumulator; tree_bits and tree_overflow: what each of its nodes holds, None
    for as many bits as it needs.
    channels_per_pass: after that many input channels (matmul: terms) the partial sum is spilled: shifted right by
    spill_shift, rounded by spill_rounding, held in spill_bits (None: the accumulator's) by spill_overflow; the next
    pass begins with it, shifted left again. None: one pass.
    bias_first: the bias is preloaded, where it else comes last.
    offsets: what is subtracted from the codes of the two operands before they are multiplied; None: their zero points.
    With other offsets the sum of products meets its correction after the last pass, in the same accumulator.
    """

    order: tuple[int, ...] | None = None
    clamp: str = "product"
    lanes: int = 1
    tree_bits: int | None = None
    tree_overflow: str = "wrap"
    channels_per_pass: int | None = None
    spill_bits: int | None = None
    spill_shift: int = 0
    spill_rounding: str = "half_up"
    spill_overflow: str = "saturate"
    bias_first: bool = False
    offsets: tuple[int, int] | None = None

    def blocks(self, channels: int) -> list[tuple[int, int]]:
        """The first channel of each pass and the first of the next one."""
        size = self.channels_per_pass or max(channels, 1)
        return [(first, min(first + size, channels)) for first in range(0, max(channels, 1), size)]


PLAIN = Summation()
