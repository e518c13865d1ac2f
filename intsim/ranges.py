"""Ranges: what an accumulator can reach, proved per channel by interval arithmetic on the real weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.lowering.lowered import CONVS, MAC_LAYERS, Layer, Lowered
from intsim.summation import PLAIN, Summation

Array = np.ndarray[Any, Any]

MAC_OPS = MAC_LAYERS
"""The layers that accumulate."""


@dataclass(frozen=True)
class Bounds:
    """What one accumulator can hold, one Python integer a channel (one for all where no operand is constant).

    low, high: the exact sum, zero points, padding, bias and a constant included; attained by some input (where spills
    round, it is the sum with their errors, and a bound that need not be attained).
    partial_low, partial_high: every partial sum, whatever the order of the additions.
    bits: by channel the narrowest two's complement accumulator that holds every value that its overflow rule looks at:
    after each pass and at the end for `wrap`, `trap` and a saturating one that clamps at the end (a modular sum may
    leave and come back), each partial sum in MAC order for one that clamps after every product. With zero points
    corrected afterwards that is the sum of the raw codes' products, too. needed_bits: the largest of them.
    declared_bits: the target's accumulator.
    tree_bits, tree_declared: the same of the adder tree's nodes, spill_bits, spill_declared: of the partial sums
    between passes; None where there are none, or where nothing limits them.
    cannot_overflow: each fits in what is declared, so that no input can make anything leave its range.
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


def prove(lowered: Lowered, known: tuple[Lowered, Mapping[str, Bounds]] | None = None) -> dict[str, Bounds]:
    """The Bounds of each accumulating layer, by layer name.

    known: what was proved before of the same network in other formats; a layer that is the same there (operands,
    formats, parameters) is not proved again.
    Errors: UnsupportedOp where the number of products in a sum is unknown.
    """
    before = {} if known is None else {layer.name: layer for layer in known[0].layers}
    proofs = {}
    for layer in lowered.layers:
        if layer.op not in MAC_OPS:
            continue
        if known is not None and layer.name in known[1] and _same(lowered, layer, known[0], before[layer.name]):
            proofs[layer.name] = known[1][layer.name]
        else:
            proofs[layer.name] = bounds_of(lowered, layer)
    return proofs


AT_ONCE = 1 << 17
"""Weights of a layer that are bounded at a time; several arrays of 8 bytes an element are made of them."""


def bounds_of(lowered: Lowered, layer: Layer) -> Bounds:
    """The Bounds of one conv or matmul layer; the channels of a large one some at a time."""
    weights, channels = _weights(layer)
    if weights is None or weights.size <= AT_ONCE:
        return _bounds_of(lowered, layer)
    step = max(1, AT_ONCE * channels // weights.size)
    parts = [slice(first, first + step) for first in range(0, channels, step)]
    return joined([_bounds_of(lowered, _channels_of(layer, channels, part)) for part in parts])


def _weights(layer: Layer) -> tuple[Array | None, int]:
    """The constant weights of a layer whose channels are independent of each other, and how many there are."""
    weights = layer.parameters.get("w" if layer.op in CONVS else "b")
    if layer.op in CONVS:
        if weights is None or layer.parameters["groups"] != 1:
            return None, 0
        return weights, len(weights)
    return (weights, weights.shape[1]) if weights is not None and weights.ndim == 2 else (None, 0)


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


def _channels_of(layer: Layer, channels: int, part: slice) -> Layer:
    """A layer with some of its channels."""
    own = {
        key: value[part]
        for key, value in layer.parameters.items()
        if key in ("w", "w_zero", "b_zero", "bias", "constant")
        and isinstance(value, np.ndarray)
        and len(value) == channels
    }
    if layer.op not in CONVS:
        own["b"] = layer.parameters["b"][:, part]
    return replace(layer, parameters={**layer.parameters, **own})


def _bounds_of(lowered: Lowered, layer: Layer) -> Bounds:
    """The Bounds of one conv or matmul layer.

    With the factors x' = x - x_zero in [a, b] and w' = w - w_zero, each product lies within w' a and w' b, and 0 where
    its tap lies in the padding; intervals are added along the walk of spec/accumulate.py. All that it does to a value,
    rounding included, is monotone, so that the ends of an interval follow its ends.
    """
    s: Summation = layer.parameters.get("summation") or PLAIN
    extra = [_per_channel(layer.parameters.get(key)) for key in ("bias", "constant")]
    plain = _terms(lowered, layer, None).spread(max(map(len, extra)))
    own = plain if s == PLAIN else _terms(lowered, layer, s).spread(plain.channels)
    channels = plain.channels
    bias, constant = (v * channels if len(v) == 1 else v for v in extra)

    exact = [(_ints(low.sum(axis=1)), _ints(high.sum(axis=1))) for low, high in plain.windows]
    sums = plain.by_channel([e[0] for e in exact], min), plain.by_channel([e[1] for e in exact], max)
    reach = _Reach(s, layer, channels)
    for (low, high), limits in zip(own.windows, exact, strict=True):
        reach.walk(own, low, high, limits, bias, constant)
    declared = int(layer.parameters["accumulator_bits"])
    return Bounds(
        tuple(lo + b + c - reach.rounding for lo, b, c in zip(sums[0], bias, constant, strict=True)),
        tuple(hi + b + c + reach.rounding for hi, b, c in zip(sums[1], bias, constant, strict=True)),
        # In any order: the negative parts alone, or the positive parts alone, may come first.
        tuple(min(lo, 0) + min(b, 0) + min(c, 0) for lo, b, c in zip(sums[0], bias, constant, strict=True)),
        tuple(max(hi, 0) + max(b, 0) + max(c, 0) for hi, b, c in zip(sums[1], bias, constant, strict=True)),
        tuple(signed_bits(lo, hi) for lo, hi in zip(*reach.accumulator, strict=True)),
        declared,
        *reach.tree_bits(),
        *reach.spill_bits(declared),
    )


class _Reach:
    """The least and the greatest value, by channel, that each adder of a layer has to hold."""

    def __init__(self, summation: Summation, layer: Layer, channels: int) -> None:
        self.summation = summation
        self.each = layer.parameters["overflow"] == "saturate" and summation.clamp == "product"
        self.accumulator = [0] * channels, [0] * channels
        self.tree = [0] * channels, [0] * channels
        self.spilled = [0] * channels, [0] * channels
        self.rounding = 0  # the most that the spills' rounding can move a sum

    def walk(
        self, terms: _Terms, low: Array, high: Array, exact: tuple[Array, Array], bias: list[int], constant: list[int]
    ) -> None:
        """Follow the sums of one window; low, high: [rows, K] in MAC order; exact: ends of the true sums."""
        s = self.summation
        first, last, added = (terms.rows(v) for v in ([0] * len(bias), bias, constant))
        acc = [terms.rows(bias), terms.rows(bias)] if s.bias_first else [first, first]
        if s.bias_first:
            last = first
            self.look(self.accumulator, terms, acc, self.each)
        error = 0
        blocks = [(a * terms.block, b * terms.block) for a, b in s.blocks(low.shape[1] // terms.block)]
        for number, (start, stop) in enumerate(blocks):
            if number:
                self.look(self.accumulator, terms, acc)
                acc = [_ints(np.array([s.rounded(v) for v in end], object)) for end in acc]
                self.look(self.spilled, terms, acc)
                acc = [end << s.spill_shift for end in acc]
                error += (1 << s.spill_shift) - 1
                self.look(self.accumulator, terms, acc, self.each)
            steps = self.steps(terms, low[:, start:stop]), self.steps(terms, high[:, start:stop])
            if s.tree_bits is not None:
                self.look_at_nodes(terms, *steps)
            ends = [_ints(step.sum(axis=(1, 2))) for step in steps]
            if self.each:
                sums = [step.sum(axis=2) for step in steps]
                if (sums[0] > 0).any() or (sums[1] < 0).any():  # else the last partial sum reaches farthest
                    partial = [_ints(np.cumsum(v, axis=1)) for v in sums]
                    self.look(
                        self.accumulator,
                        terms,
                        [acc[0] + partial[0].min(axis=1, initial=0), acc[1] + partial[1].max(axis=1, initial=0)],
                    )
            acc = [a + e for a, e in zip(acc, ends, strict=True)]
            self.look(self.accumulator, terms, acc, self.each)
        self.rounding = max(self.rounding, error)
        if s.offsets is not None:
            self.look(self.accumulator, terms, acc)
            before = terms.rows(bias) if s.bias_first else first
            acc = [exact[0] + before - error, exact[1] + before + error]
            self.look(self.accumulator, terms, acc, self.each)
        acc = [a + last for a in acc]
        self.look(self.accumulator, terms, acc, self.each)
        self.look(self.accumulator, terms, [a + added for a in acc])

    def steps(self, terms: _Terms, ends: Array) -> Array:
        """[rows, steps, leaves]: the products of each step of a pass, the tree filled up with 0."""
        lanes = self.summation.lanes
        if lanes == 1:
            return ends[:, :, None]
        count = -(-ends.shape[1] // lanes)
        filled = np.zeros((len(ends), count * lanes), ends.dtype)
        filled[:, : ends.shape[1]] = ends
        leaves = np.zeros((len(ends), count, 1 << (lanes - 1).bit_length()), ends.dtype)
        leaves[:, :, :lanes] = filled.reshape(len(ends), count, lanes)
        return leaves

    def look_at_nodes(self, terms: _Terms, low: Array, high: Array) -> None:
        while low.shape[2] > 1:
            low, high = low[:, :, ::2] + low[:, :, 1::2], high[:, :, ::2] + high[:, :, 1::2]
            if low.shape[1]:
                self.look(self.tree, terms, [_ints(low.min(axis=(1, 2))), _ints(high.max(axis=(1, 2)))])

    def look(self, reach: tuple[list[int], list[int]], terms: _Terms, ends: list[Array], really: bool = True) -> None:
        """Widen what has been reached to the ends, [rows] each."""
        if not really:
            return
        reach[0][:] = map(min, reach[0], terms.by_channel([ends[0]], min))
        reach[1][:] = map(max, reach[1], terms.by_channel([ends[1]], max))

    def tree_bits(self) -> tuple[int | None, int | None]:
        if self.summation.tree_bits is None:
            return None, None
        return signed_bits(min(self.tree[0]), max(self.tree[1])), self.summation.tree_bits

    def spill_bits(self, declared: int) -> tuple[int | None, int | None]:
        if self.summation.channels_per_pass is None:
            return None, None
        return signed_bits(min(self.spilled[0]), max(self.spilled[1])), self.summation.spill_bits or declared


@dataclass(frozen=True)
class _Terms:
    """The products of a layer's sums as intervals: for each window (low, high), [rows, K] in MAC order.

    channels: how many there are; row r is of channel r % channels. block: products of one channel (pass by pass).
    """

    windows: list[tuple[Array, Array]]
    channels: int
    block: int

    def spread(self, channels: int) -> _Terms:
        """The same for so many channels, where one stands for all."""
        if self.channels > 1 or channels == 1:
            return self
        windows = [(np.repeat(low, channels, axis=0), np.repeat(high, channels, axis=0)) for low, high in self.windows]
        return _Terms(windows, channels, self.block)

    def rows(self, values: list[int]) -> Array:
        """Values by channel as object[rows]."""
        return np.array(values * (len(self.windows[0][0]) // self.channels), object)

    def by_channel(self, ends: list[Array], widest: Callable[..., int]) -> list[int]:
        """The least (widest: min) or the greatest (max) of [rows] of all windows, by channel."""
        return [widest(int(v) for end in ends for v in end[c :: self.channels]) for c in range(self.channels)]


def _ints(values: Array) -> Array:
    """The values as Python's integers."""
    return np.asarray(values, object)


def _per_channel(values: Any) -> list[int]:
    return [0] if values is None else [int(v) for v in np.atleast_1d(values)]


def worst_case(lowered: Lowered, layer: Layer) -> tuple[int, int]:
    """The least and the greatest sum of a MAC layer for any weights that their format allows, the bias as it is."""
    node = next(n for n in lowered.graph.nodes if n.name == layer.node)
    w_format = lowered.graph.format(node.inputs[1])
    assert w_format is not None, "the operands of a MAC layer have formats"
    x_zero, w_zero = ("x_zero", "w_zero") if layer.op in CONVS else ("a_zero", "b_zero")
    x = _interval(lowered, layer, 0, layer.parameters.get(x_zero, 0))
    if "table" in layer.parameters:
        ends = layer.parameters["table"][:, [end - layer.parameters["low"] for end in x]]
        corners = [-int(np.abs(ends).max()), int(np.abs(ends).max())]
    else:
        zeros = layer.parameters.get(w_zero, 0)
        w = w_format.low - int(np.max(zeros)), w_format.high - int(np.min(zeros))
        corners = [p * q for p in x for q in w]
    codes = constant_operand(lowered, layer, 1)
    if codes is None:
        length = _inner_length(lowered, layer)
    else:
        length = codes[0].size if layer.op in CONVS else codes.shape[-2 if codes.ndim > 1 else 0]
    bias = np.atleast_1d(0 if layer.parameters.get("bias") is None else layer.parameters["bias"])
    return min(corners) * length + int(bias.min()), max(corners) * length + int(bias.max())


def worst_case_bits(lowered: Lowered, layer: Layer) -> int:
    """The accumulator that holds every sum for any weights that their format allows, the bias as it is."""
    if layer.parameters.get("summation") is None or "table" in layer.parameters:
        return signed_bits(*worst_case(lowered, layer))
    key, codes = ("w" if layer.op in CONVS else "b"), constant_operand(lowered, layer, 1)
    if codes is None:
        return bounds_of(lowered, layer).needed_bits
    w_format = lowered.graph.format(next(n for n in lowered.graph.nodes if n.name == layer.node).inputs[1])
    assert w_format is not None, "the operands of a MAC layer have formats"
    extremes = [np.full(codes.shape, code, np.int64) for code in (w_format.low, w_format.high)]
    layers = [replace(layer, parameters={**layer.parameters, key: extreme}) for extreme in extremes]
    return max(bounds_of(lowered, extreme).needed_bits for extreme in layers)


def signed_bits(low: int, high: int) -> int:
    """The narrowest two's complement width that holds both integers."""
    return max((-low - 1 if low < 0 else low).bit_length(), (-high - 1 if high < 0 else high).bit_length()) + 1


def constant_operand(lowered: Lowered, layer: Layer, index: int) -> Array | None:
    """The codes of a MAC layer's first or second operand where it is a constant, None where it is computed."""
    keyword = (("x", "w") if layer.op in CONVS else ("a", "b"))[index]
    if keyword in layer.parameters:
        return np.asarray(layer.parameters[keyword])
    name = layer.inputs[index]
    producer = lowered.producer(name)
    if producer is not None:
        return np.asarray(producer.parameters["value"]) if producer.op == "constant" else None
    return lowered.graph.constants.get(name)


def valid_taps(
    length: int | None, kernel: int, stride: int, dilation: int, begin: int, end: int
) -> list[tuple[int, ...]]:
    """Along one axis: for each output position, the kernel's taps that lie on the input, not in the padding.

    Only the largest sets are returned: 0 is within every tap's interval, so that a subset bounds nothing more. An
    unknown length counts as long enough for all taps.
    """
    if length is None or (begin == 0 and end == 0):
        return [tuple(range(kernel))]
    positions = range(0, length + begin + end - dilation * (kernel - 1), stride)
    sets = {tuple(t for t in range(kernel) if 0 <= p + t * dilation - begin < length) for p in positions}
    return sorted(s for s in sets if not any(set(s) < set(other) for other in sets))


def _terms(lowered: Lowered, layer: Layer, summation: Summation | None) -> _Terms:
    """The products of the codes behind their zero points, or behind the summation's offsets, in its order."""
    offsets = None if summation is None else summation.offsets
    names = ("x_zero", "w_zero") if layer.op in CONVS else ("a_zero", "b_zero")
    zeros = [layer.parameters.get(name, 0) for name in names]
    return (_conv_terms if layer.op in CONVS else _matmul_terms)(lowered, layer, zeros, offsets or zeros, summation)


def _conv_terms(
    lowered: Lowered, layer: Layer, zeros: Sequence[Any], offsets: Sequence[Any], summation: Summation | None
) -> _Terms:
    parameters = layer.parameters
    w_low, w_high = _elements(lowered, layer, 1, offsets[1], axis=0)
    outside = int(zeros[0]) - int(offsets[0])  # what padding supplies
    x_low, x_high = _interval(lowered, layer, 0, offsets[0], outside)
    low, high = _products(layer, x_low, x_high, w_low, w_high)
    pad_low, pad_high = _products(layer, outside, outside, w_low, w_high)
    lengths = _lengths(lowered, layer.inputs[0], low.ndim - 2)
    pads = parameters["pads"]
    taps = [
        valid_taps(length, low.shape[2 + i], strides, dilation, pads[i], pads[i + len(lengths)])
        for i, (length, strides, dilation) in enumerate(
            zip(lengths, parameters["strides"], parameters["dilations"], strict=True)
        )
    ]
    windows = []
    for window in product(*taps):
        inside = np.zeros(low.shape[2:], np.bool_)
        inside[np.ix_(*window)] = True
        ends = (low, high) if inside.all() else (np.where(inside, low, pad_low), np.where(inside, high, pad_high))
        windows.append(tuple(_in_mac_order(end, summation) for end in ends))
    return _Terms([(a, b) for a, b in windows], len(low), int(np.prod(low.shape[2:])))


def _in_mac_order(values: Array, summation: Summation | None) -> Array:
    """[M, channels, *kernel] as [M, K], pass by pass in the summation's order."""
    s = summation or PLAIN
    order = s.order or tuple(range(values.ndim - 1))
    axes = (0, *(axis + 1 for axis in order))
    blocks = [values[:, a:b].transpose(axes).reshape(len(values), -1) for a, b in s.blocks(values.shape[1])]
    return np.concatenate(blocks, axis=1)


def _matmul_terms(
    lowered: Lowered, layer: Layer, zeros: Sequence[Any], offsets: Sequence[Any], summation: Summation | None
) -> _Terms:
    """One channel a column; one for all where b is computed."""
    a_low, a_high = _interval(lowered, layer, 0, offsets[0], int(zeros[0]) - int(offsets[0]))
    if constant_operand(lowered, layer, 1) is not None:
        b_low, b_high = _elements(lowered, layer, 1, offsets[1], axis=-1)
        columns = b_low.shape[-1] if b_low.ndim > 1 else 1
        ends = _products(layer, a_low, a_high, b_low, b_high)
        low, high = (np.moveaxis(e, -2, -1).reshape(-1, e.shape[-2]) if e.ndim > 1 else e[None] for e in ends)
        return _Terms([(low, high)], columns, 1)
    b_ends = _interval(lowered, layer, 1, offsets[1])
    if constant_operand(lowered, layer, 0) is not None:
        elements, _ = _elements(lowered, layer, 0, offsets[0], axis=-1)
        low, high = _products(layer, *b_ends, elements, elements)
        return _Terms([(low.reshape(-1, low.shape[-1]), high.reshape(-1, high.shape[-1]))], 1, 1)
    corners = [x * y for x in (a_low, a_high) for y in b_ends]
    length = _inner_length(lowered, layer)
    return _Terms([(np.full((1, length), min(corners), object), np.full((1, length), max(corners), object))], 1, 1)


def _products(layer: Layer, a: int, b: int, low: Array, high: Array) -> tuple[Array, Array]:
    """The least and the greatest product of a number in [a, b] and one in [low, high], elementwise.

    Products that are looked up rise with the activation, so that the ends of its interval bound them.
    """
    if "table" in layer.parameters:
        table, first = layer.parameters["table"], layer.parameters["low"]
        codes = low.astype(np.int64)
        negative, magnitude = codes >= len(table), codes % len(table)
        at_a, at_b = table[magnitude, a - first], table[magnitude, b - first]
        return np.where(negative, -at_b, at_a), np.where(negative, -at_a, at_b)
    corners = [low * a] if a == b else [low * a, low * b]
    if high is not low:
        corners += [high * end for end in {a, b}]
    return functools.reduce(np.minimum, corners), functools.reduce(np.maximum, corners)


def _elements(lowered: Lowered, layer: Layer, index: int, zero: Any, axis: int) -> tuple[Array, Array]:
    """The interval of each centred element of an operand: a point where it is constant, else its format's."""
    codes = constant_operand(lowered, layer, index)
    if codes is not None:
        other_low, other_high = _interval(lowered, layer, 1 - index, 0)
        shape = [1] * codes.ndim
        shape[axis] = -1
        zeros = np.asarray(zero).reshape(shape if np.ndim(zero) else ())
        # int64 where no sum of products can leave it, else Python's integers.
        bits = 8 * codes.dtype.itemsize + (other_high - other_low).bit_length() + codes.size.bit_length() + 2
        centred = codes.astype(np.int64 if bits < 64 else object) - zeros
        return centred, centred
    low, high = _interval(lowered, layer, index, zero)
    lengths = lowered.graph.values[layer.inputs[index]].shape
    if None in lengths:
        raise UnsupportedOp(
            f"node {layer.node!r}: the shape {lengths} of operand {layer.inputs[index]!r} is not known, so its sums "
            f"have no bound; fix that shape in the model"
        )
    shape = [length for length in lengths if length is not None]
    return np.full(shape, low, object), np.full(shape, high, object)


def _interval(lowered: Lowered, layer: Layer, index: int, zero: Any, outside: int = 0) -> tuple[int, int]:
    """The interval of an operand minus its zero point, widened to include what padding contributes in its place."""
    codes = constant_operand(lowered, layer, index)
    if codes is not None:
        low, high = int(codes.min()), int(codes.max())
    else:
        format = lowered.values[layer.inputs[index]]
        if format is None:
            raise OutOfDomain(f"node {layer.node!r}: operand {layer.inputs[index]!r} of an integer sum holds reals")
        low, high = format.low, format.high
    return min(low - int(np.max(zero)), outside), max(high - int(np.min(zero)), outside)


def _lengths(lowered: Lowered, name: str, count: int) -> Sequence[int | None]:
    """The spatial lengths of a value, None where they are not known."""
    shape = _shape(lowered, name)
    return shape[2:] if len(shape) == count + 2 else (None,) * count


def _inner_length(lowered: Lowered, layer: Layer) -> int:
    """The number of products in each sum of a matmul of two computed operands."""
    a, b = (_shape(lowered, name) for name in layer.inputs[:2])
    length = a[-1] if a else None
    if length is None and b:
        length = b[-2] if len(b) > 1 else b[0]
    if length is None:
        raise UnsupportedOp(
            f"node {layer.node!r}: the number of products in each sum of {layer.inputs[0]!r} x {layer.inputs[1]!r} is "
            f"not known, so the accumulator has no bound; fix that length in the model"
        )
    return length


def _same(lowered: Lowered, layer: Layer, other: Lowered, before: Layer) -> bool:
    """Whether a layer accumulates the same sums in both networks."""
    return (
        (layer.op, layer.inputs, layer.parameters.keys()) == (before.op, before.inputs, before.parameters.keys())
        and all(lowered.values.get(n) == other.values.get(n) for n in layer.inputs)
        and all(_shape(lowered, n) == _shape(other, n) for n in layer.inputs)
        and all(_equal(constant_operand(lowered, layer, i), constant_operand(other, before, i)) for i in (0, 1))
        and all(_equal(layer.parameters[k], before.parameters[k]) for k in layer.parameters)
    )


def _shape(lowered: Lowered, name: str) -> tuple[int | None, ...]:
    value = lowered.graph.values.get(name)
    return () if value is None else value.shape


def _equal(a: Any, b: Any) -> bool:
    return a is b or (np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b))
