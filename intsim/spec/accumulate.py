"""What an accumulator does with a sum of products: the part that convolution and matrix product share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from intsim.errors import AccumulatorOverflow, OutOfDomain
from intsim.formats import OVERFLOWS
from intsim.spec import checks
from intsim.spec.integers import Integers, add, bounds, dtype_for, result, shift_left
from intsim.spec.rounding import LONGEST_SHIFT, shift_right
from intsim.spec.saturate import saturate, wrap
from intsim.summation import CLAMPS, EVENTS, PLAIN, Summation

Events = npt.NDArray[np.uint8]
"""Per sum, the bits of intsim.summation.EVENTS: which of accumulator, tree and spill could not hold a value of it."""


@dataclass(frozen=True)
class Terms:
    """The terms of sums of one shape, each an array of that shape or one that broadcasts to it.

    passes: per pass the products in MAC order. correction: what the products' offsets leave to be added; None: nothing.
    total: the exact sum of it all. largest: a bound of the sum of all terms' magnitudes.
    """

    shape: tuple[int, ...]
    passes: Sequence[Callable[[], Iterable[Integers]]]
    correction: Integers | None
    bias: Integers
    constant: Integers
    total: Callable[[], Integers]
    largest: int


def accumulate(terms: Terms, bits: int, overflow: str, summation: Summation | None) -> tuple[Integers, Events]:
    """The accumulator after all additions, and what could not hold a value on the way.

    acc = 0                                         or hold(bias), where it is preloaded
    per pass:   acc = acc + tree(lanes products)    step by step, in MAC order
                acc = hold(acc); spill = hold_spill(round(acc / 2**spill_shift)); acc = 0 + (spill << spill_shift)
    the last pass is not spilled; acc = hold(acc) + correction, where there is one
    acc = acc + bias + constant;  hold(acc)

    hold: `saturate` clamps to the accumulator's bits, `wrap` takes them modulo 2**bits, `trap` raises
    AccumulatorOverflow with the first coordinate and value. A saturating accumulator with clamp `product` holds after
    every addition too. tree: neighbours are added in pairs, level by level, the lanes filled with 0 to a power of two,
    each node held by its own rule. Raises OutOfDomain.
    """
    s = _checked(summation)
    low, high = checks.code_range(bits, True)
    checks.one_of(overflow, OVERFLOWS, "overflow")
    in_order = overflow == "saturate" and s.clamp == "product" and not low <= -terms.largest <= terms.largest <= high
    if in_order or s.tree_bits is not None or s.channels_per_pass is not None or terms.correction is not None:
        return _Walk(terms.shape, bits, overflow, s).run(terms)
    walk = _Walk(terms.shape, bits, overflow, s)  # one look, at the exact sum: the order of its terms is nothing
    return walk.hold(terms.total(), bits, overflow, "accumulator"), walk.events


class _Walk:
    """The accumulators of one shape, and the events so far."""

    def __init__(self, shape: tuple[int, ...], bits: int, overflow: str, summation: Summation) -> None:
        self.acc = np.zeros(shape, np.int64)
        self.events = np.zeros(shape, np.uint8)
        self.bits, self.overflow, self.summation = bits, overflow, summation
        self.clamps_each = overflow == "saturate" and summation.clamp == "product"

    def run(self, terms: Terms) -> tuple[Integers, Events]:
        s = self.summation
        if s.bias_first:
            self.plus(terms.bias)
        for number, products in enumerate(terms.passes):
            if number:
                self.spill()
            remaining = iter(products())
            while lanes := list(itertools.islice(remaining, s.lanes)):
                self.plus(self.tree(lanes))
        if terms.correction is not None:
            self.hold_acc()
            self.plus(terms.correction)
        if not s.bias_first:
            self.plus(terms.bias)
        self.plus(terms.constant)
        self.hold_acc()
        return self.acc, self.events

    def plus(self, addend: Integers) -> None:
        self.acc = add(self.acc, addend)
        if self.clamps_each:
            self.hold_acc()

    def tree(self, nodes: list[Integers]) -> Integers:
        s = self.summation
        width = 1 << (s.lanes - 1).bit_length()
        nodes = nodes + [result(0)] * (width - len(nodes))
        while len(nodes) > 1:
            nodes = [add(a, b) for a, b in zip(nodes[::2], nodes[1::2], strict=True)]
            if s.tree_bits is not None:
                nodes = [self.hold(node, s.tree_bits, s.tree_overflow, "tree") for node in nodes]
        return nodes[0]

    def spill(self) -> None:
        s = self.summation
        self.hold_acc()
        rounded = shift_right(self.acc, s.spill_shift, s.spill_rounding)
        spilled = self.hold(rounded, s.spill_bits or self.bits, s.spill_overflow, "spill")
        self.acc = np.zeros_like(self.acc)
        self.plus(shift_left(spilled, result(s.spill_shift)))

    def hold_acc(self) -> None:
        self.acc = self.hold(self.acc, self.bits, self.overflow, "accumulator")

    def hold(self, values: Integers, bits: int, overflow: str, what: str) -> Integers:
        """What so many bits hold of the values; the event is noted where that is not all of them."""
        low, high = checks.code_range(bits, True)
        misfit = np.broadcast_to(np.asarray((values < low) | (values > high), np.bool_), self.events.shape)
        if overflow == "trap" and misfit.any():
            at = tuple(int(i) for i in np.argwhere(misfit)[0])
            value = int(np.broadcast_to(values, misfit.shape)[at])
            raise AccumulatorOverflow(
                f"{what} must be within {low} to {high} ({bits} bits), not {value} at {at}; "
                "give it more bits or another overflow rule"
            )
        self.events |= np.where(misfit, EVENTS[what], 0).astype(np.uint8)
        return saturate(values, bits, True) if overflow == "saturate" else wrap(values, bits, True)


def _checked(summation: Summation | None) -> Summation:
    """The summation, or the plain one. Raises OutOfDomain."""
    s = PLAIN if summation is None else summation
    checks.one_of(s.clamp, CLAMPS, "clamp")
    checks.integer(s.lanes, 1, 2**31 - 1, "lanes")
    checks.one_of(s.tree_overflow, OVERFLOWS, "tree_overflow")
    checks.one_of(s.spill_overflow, OVERFLOWS, "spill_overflow")
    checks.rounding(s.spill_rounding)
    checks.integer(s.spill_shift, 0, LONGEST_SHIFT, "spill_shift")
    for name in ("tree_bits", "spill_bits", "channels_per_pass"):
        if getattr(s, name) is not None:
            checks.integer(getattr(s, name), 1, 64 if name.endswith("bits") else 2**31 - 1, name)
    if s.order is not None and sorted(s.order) != list(range(len(s.order))):
        raise OutOfDomain(f"order must be a permutation of the axes of a kernel, not {s.order!r}")
    return s


def magnitude(values: Integers) -> int:
    """The largest |value|."""
    return max(map(abs, bounds(values)))


def largest_sum(values: Integers, axes: tuple[int, ...]) -> int:
    """The largest sum of |values| over the axes."""
    count = int(np.prod([values.shape[axis] for axis in axes]))
    wide = values.astype(dtype_for(-magnitude(values) * count, magnitude(values) * count))
    return int(np.abs(wide).sum(axes).max(initial=0))


def carrier(largest: int) -> np.dtype[np.generic]:
    """The dtype in which sums of terms whose magnitudes add up to `largest` are exact, in any order.

    float64 (so that BLAS can do the work) is one only where every partial sum is an integer below 2**53 in
    magnitude, hence exact; then int64; then object.
    """
    if largest < 2**53:
        return np.dtype(np.float64)
    return np.dtype(np.int64 if largest < 2**63 else object)
