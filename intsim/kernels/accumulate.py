"""Sums in MAC order: products, adder tree, accumulator, spills, correction, bias: what convolution and matrix product
share where the order can change bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array
from intsim.kernels.rounding import shift_right, shift_terms
from intsim.kernels.saturate import clamp, limits, wrap

ACCUMULATOR, TREE, SPILL = 1, 2, 4
"""The bits of an event: what could not hold a value."""


class Walk(NamedTuple):
    """How a sum is carried out, in the words of the compiled loops.

    holds: int64[3, 4], for accumulator, tree node and spill the least and the greatest value, the bits, and 1 where it
    saturates (0: it wraps). each: whether the accumulator is held after every addition. ends: after the last product
    of each pass. width: the lanes, filled up to a power of two. tree: whether its nodes are held. spill: shift and
    the three terms of its rounding. first: whether the bias is preloaded.
    """

    holds: Array
    each: bool
    ends: Array
    lanes: int
    width: int
    tree: bool
    spill: Array
    first: bool


def make_walk(summation: Any, bits: int, overflow: str, blocks: int, block: int) -> Walk:
    """The Walk of a summation (None: the plain one) over `channels` channels of `block` products each."""
    s = summation
    plain = s is None
    rules = [
        (bits, overflow),
        (64 if plain or s.tree_bits is None else s.tree_bits, "wrap" if plain else s.tree_overflow),
        (bits if plain or s.spill_bits is None else s.spill_bits, "wrap" if plain else s.spill_overflow),
    ]
    holds = np.array([(*limits(b, True), b, rule == "saturate") for b, rule in rules], np.int64)
    per_pass = max(blocks, 1) if plain or s.channels_per_pass is None else s.channels_per_pass
    ends = [min(first + per_pass, blocks) * block for first in range(0, max(blocks, 1), per_pass)]
    lanes = 1 if plain else s.lanes
    spill = (0, 0, 0, 0) if plain else (s.spill_shift, *shift_terms(s.spill_rounding, s.spill_shift))
    return Walk(
        holds,
        clamps_each(s, overflow),
        np.array(ends, np.int64),
        lanes,
        1 << (lanes - 1).bit_length(),
        not plain and s.tree_bits is not None,
        np.array(spill, np.int64),
        not plain and s.bias_first,
    )


def in_mac_order(summation: Any, lengths: tuple[int, ...]) -> Array:
    """The products of an element in MAC order, as indices into its kernel [channels, *spatial] laid out flat."""
    index = np.arange(int(np.prod(lengths)), dtype=np.int64).reshape(lengths)
    if summation is None:
        return index.reshape(-1)
    order = summation.order or tuple(range(len(lengths)))
    size = summation.channels_per_pass or max(lengths[0], 1)
    blocks = [index[c : c + size].transpose(order).reshape(-1) for c in range(0, lengths[0], size)]
    return np.concatenate(blocks) if blocks else index.reshape(-1)


def clamps_each(summation: Any, overflow: str) -> bool:
    """Whether the accumulator clamps after every addition."""
    return overflow == "saturate" and (summation is None or summation.clamp == "product")


def is_ordered(summation: Any, overflow: str, check: bool) -> bool:
    """Whether the declared order can change what comes out; check=False promises that nothing leaves its range."""
    if summation is None:
        return check and overflow == "saturate"
    if summation.channels_per_pass is not None and summation.spill_shift > 0:
        return True
    return check and (
        clamps_each(summation, overflow)
        or (summation.tree_bits is not None and summation.lanes > 1)
        or summation.channels_per_pass is not None
        or summation.offsets is not None
    )


def only_clamps(summation: Any, overflow: str) -> bool:
    """Whether an ordered sum is nothing but single products, each addition clamped."""
    return clamps_each(summation, overflow) and (
        summation is None
        or (summation.lanes == 1 and summation.channels_per_pass is None and summation.offsets is None)
    )


def lane_dtype(bits: int, product: int) -> type[np.signedinteger[Any]]:
    """The narrowest dtype that holds an accumulator of `bits` bits and one product more."""
    largest = (1 << (bits - 1)) + product
    return np.int16 if largest < 1 << 15 else np.int32 if largest < 1 << 31 else np.int64


def factor_offsets(summation: Any, ordered: bool, x_zero: int, w_zero: Array) -> tuple[int, Array]:
    """What the codes are multiplied without: their zero points, or the summation's offsets where those can matter."""
    if summation is None or summation.offsets is None or not ordered:
        return x_zero, w_zero
    return summation.offsets[0], np.array([summation.offsets[1]], np.int64)


def correction_bound(summation: Any, terms: int, x: tuple[int, int], w: tuple[int, int], zeros: tuple[Any, Any]) -> int:
    """A bound of |correction|, 0 without one; x, w: the intervals of the factors less their zero points."""
    if summation is None or summation.offsets is None:
        return 0
    dx, dw = (int(np.abs(np.asarray(z, np.int64) - o).max()) for z, o in zip(zeros, summation.offsets, strict=True))
    return terms * (dx * max(map(abs, w)) + dw * max(map(abs, x)) + dx * dw)


def require_sums_in_int64(
    x: tuple[int, int],
    w: tuple[int, int],
    terms: int,
    bits: int,
    overflow: str,
    summation: Any,
    added: tuple[Array, ...],
    correction: int,
) -> None:
    """Raise ValueError where int64 might not hold an exact sum that has to be compared with an adder's range.

    x, w: intervals of the factors. added: the values that join the sum; correction: a bound of what the offsets leave.
    """
    product = max(map(abs, x)) * max(map(abs, w))
    largest = product * terms
    carried = 0
    if clamps_each(summation, overflow):
        lanes = 1 if summation is None else summation.lanes
        largest = min(largest, product * lanes + limits(bits, True)[1] + 1)
    if summation is not None and summation.channels_per_pass is not None:
        carried = terms << summation.spill_shift  # what rounding adds; to hold a value never makes it larger
    largest += carried + correction + sum(int(np.abs(v.astype(np.float64)).max(initial=0)) for v in added) + 1
    if largest >= 1 << 63:
        raise ValueError(
            f"{terms} products of up to {product} may leave int64: use operands of fewer bits, or the spec"
        )


@kernel
def hold(v: Any, what: Any) -> Any:
    """What an adder holds of a value: clamped or wrapped; what: a row of Walk.holds."""
    return clamp(v, what[0], what[1]) if what[3] else wrap(v, what[2])


@kernel
def walk_rows(acc: Any, events: Any, rows: Any, offsets: Any, weights: Any, walk: Any, nodes: Any) -> None:
    """acc[i], from its start value to the last product: weights[k] * rows[offsets[k] + i], k in order.

    events[i] |= the bits of what could not hold a value. nodes: room for [walk.width, n] int64.
    """
    n = acc.shape[0]
    k = 0
    for number in range(walk.ends.shape[0]):
        if number:
            spill_rows(acc, events, walk)
        while k < walk.ends[number]:
            lanes = min(walk.lanes, walk.ends[number] - k)
            for lane in range(walk.width):
                node = nodes[lane, :n]
                if lane < lanes:
                    x = rows[offsets[k + lane] : offsets[k + lane] + n]
                    w = weights[k + lane]
                    for i in range(n):
                        node[i] = w * np.int64(x[i])
                else:
                    node[:] = 0
            k += lanes
            add_tree(nodes[:, :n], events, walk)
            for i in range(n):
                total = acc[i] + nodes[0, i]
                acc[i] = hold(total, walk.holds[0]) if walk.each else total
                if acc[i] != total:
                    events[i] |= ACCUMULATOR


@kernel
def add_tree(nodes: Any, events: Any, walk: Any) -> None:
    """nodes[0] becomes the sum of all rows: neighbours in pairs, level by level, each sum held by the tree's rule."""
    count = walk.width
    while count > 1:
        count //= 2
        for j in range(count):
            for i in range(nodes.shape[1]):
                total = nodes[2 * j, i] + nodes[2 * j + 1, i]
                node = hold(total, walk.holds[1]) if walk.tree else total
                if node != total:
                    events[i] |= TREE
                nodes[j, i] = node


@kernel
def spill_rows(acc: Any, events: Any, walk: Any) -> None:
    """acc[i] after a pass becomes what the next pass begins with: held, shifted out and rounded, and shifted back."""
    shift, always, negative, odd = walk.spill[0], walk.spill[1], walk.spill[2], walk.spill[3]
    for i in range(acc.shape[0]):
        held = hold(acc[i], walk.holds[0])
        if held != acc[i]:
            events[i] |= ACCUMULATOR
        rounded = shift_right(held, shift, always, negative, odd)
        spilled = hold(rounded, walk.holds[2])
        if spilled != rounded:
            events[i] |= SPILL
        back = spilled << shift
        acc[i] = hold(back, walk.holds[0]) if walk.each else back
        if acc[i] != back:
            events[i] |= ACCUMULATOR


@kernel
def finish(acc: Any, event: Any, corrected: Any, correction: Any, bias: Any, constant: Any, walk: Any) -> Any:
    """The accumulator's last value and its events: the correction, the bias unless it came first, the constant."""
    held = acc
    if corrected:
        held = hold(acc, walk.holds[0])
        event |= held != acc
        total = held + correction
        held = hold(total, walk.holds[0]) if walk.each else total
        event |= held != total
    total = held if walk.first else held + bias
    held = hold(total, walk.holds[0]) if walk.each else total
    event |= held != total
    total = held + constant
    held = hold(total, walk.holds[0])
    event |= held != total
    return held, event
