"""What an accumulator does with a sum of products: the part that convolution and matrix product share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Sequence
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
    """

    shape: tuple[int, ...]
    passes: Sequence[Callable[[], Iterable[Integers]]]
    correction: Integers | None
    bias: Integers
    constant: Integers


@dataclass(frozen=True)
class Sums(Terms):
    """Terms, and what is known of their sums.

    total: the exact sum of it all. largest: a bound of the sum of all terms' magnitudes.
    """

    total: Callable[[], Integers]
    largest: int


@dataclass(frozen=True)
class Stop:
    """Values that an adder had to hold, and what it held of them.

    what: the adder, a key of intsim.summation.EVENTS. why: what was added, in words. bits, overflow: the adder's.
    """

    what: str
    why: str
    exact: Integers
    held: Integers
    bits: int
    overflow: str


def accumulate(sums: Sums, bits: int, overflow: str, summation: Summation | None) -> tuple[Integers, Events]:
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
    in_order = overflow == "saturate" and s.clamp == "product" and not low <= -sums.largest <= sums.largest <= high
    if in_order or s.tree_bits is not None or s.channels_per_pass is not None or sums.correction is not None:
        stops = walk(sums, bits, overflow, s)
    else:  # one look, at the exact sum: the order of its terms is nothing
        stops = _hold("accumulator", "total", sums.total(), bits, overflow)
    events = np.zeros(sums.shape, np.uint8)
    for stop in stops:
        misfit = np.broadcast_to(np.asarray(stop.exact != stop.held, np.bool_), sums.shape)
        if misfit.any():
            if stop.overflow == "trap":
                raise _trapped(stop, misfit)
            events |= np.where(misfit, EVENTS[stop.what], 0).astype(np.uint8)
    return stop.held, events


def walk(terms: Terms, bits: int, overflow: str, s: Summation) -> Generator[Stop, None, Integers]:
    """Each value that an adder has to hold, in order: the walk that `accumulate` defines; the last is the accumulator.

    A rule `trap` holds as `wrap` does here: whoever looks at the stops raises.
    """

    def hold(why: str, total: Integers) -> Generator[Stop, None, Integers]:
        return _hold("accumulator", why, total, bits, overflow)

    def added(why: str, total: Integers) -> Generator[Stop, None, Integers]:
        """The accumulator after an addition, which only some accumulators hold at once."""
        return (yield from hold(why, total)) if each else total

    each = overflow == "saturate" and s.clamp == "product"
    acc: Integers = np.zeros(terms.shape, np.int64)
    if s.bias_first:
        acc = yield from added("preloaded bias", add(acc, terms.bias))
    for number, products in enumerate(terms.passes):
        if number:
            acc = yield from hold("end of a pass", acc)
            rounded = shift_right(acc, s.spill_shift, s.spill_rounding)
            spilled = yield from _hold("spill", "spilled", rounded, s.spill_bits or bits, s.spill_overflow)
            acc = yield from added("restored", shift_left(spilled, result(s.spill_shift)))
        remaining = iter(products())
        while lanes := list(itertools.islice(remaining, s.lanes)):
            root = yield from _tree(lanes, s)
            acc = yield from added("product", add(acc, root))
    if terms.correction is not None:
        acc = yield from hold("sum of raw products", acc)
        acc = yield from added("correction of the zero points", add(acc, terms.correction))
    if not s.bias_first:
        acc = yield from added("bias", add(acc, terms.bias))
    return (yield from hold("total", add(acc, terms.constant)))


def _tree(nodes: list[Integers], s: Summation) -> Generator[Stop, None, Integers]:
    """The root: neighbours are added in pairs, level by level."""
    width = 1 << (s.lanes - 1).bit_length()
    nodes = nodes + [result(0)] * (width - len(nodes))
    while len(nodes) > 1:
        nodes = [add(a, b) for a, b in zip(nodes[::2], nodes[1::2], strict=True)]
        if s.tree_bits is not None:
            for i, node in enumerate(nodes):
                nodes[i] = yield from _hold("tree", "sum of neighbours", node, s.tree_bits, s.tree_overflow)
    return nodes[0]


def _hold(what: str, why: str, exact: Integers, bits: int, overflow: str) -> Generator[Stop, None, Integers]:
    """The values as an adder of that many bits holds them."""
    held = saturate(exact, bits, True) if overflow == "saturate" else wrap(exact, bits, True)
    yield Stop(what, why, exact, held, bits, overflow)
    return held


def _trapped(stop: Stop, misfit: npt.NDArray[np.bool_]) -> AccumulatorOverflow:
    low, high = checks.code_range(stop.bits, True)
    at = tuple(int(i) for i in np.argwhere(misfit)[0])
    value = int(np.broadcast_to(stop.exact, misfit.shape)[at])
    return AccumulatorOverflow(
        f"{stop.what} must be within {low} to {high} ({stop.bits} bits), not {value} at {at}; "
        "give it more bits or another overflow rule"
    )


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
