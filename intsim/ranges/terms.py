"""Terms: the products of a layer's sums as intervals, from its real weights, window by window in MAC order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.lowering.lowered import CONVS, Layer, Lowered
from intsim.summation import PLAIN, Summation

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TermIntervals:
    """The products of a layer's sums as intervals: for each window (low, high), [rows, K] in MAC order.

    channels: how many there are; row r is of channel r % channels. block: products of one channel (pass by pass).
    """

    windows: list[tuple[Array, Array]]
    channels: int
    block: int

    def spread(self, channels: int) -> TermIntervals:
        """The same for `channels` channels, where one stands for all."""
        if self.channels > 1 or channels == 1:
            return self
        windows = [(np.repeat(low, channels, axis=0), np.repeat(high, channels, axis=0)) for low, high in self.windows]
        return TermIntervals(windows, channels, self.block)

    def rows(self, values: list[int]) -> Array:
        """Values by channel as object[rows]."""
        return np.array(values * (len(self.windows[0][0]) // self.channels), object)

    def by_channel(self, ends: list[Array], widest: Callable[..., int]) -> list[int]:
        """The least (widest: min) or the greatest (max) of [rows] of all windows, by channel."""
        return [widest(int(v) for end in ends for v in end[c :: self.channels]) for c in range(self.channels)]


def terms_of(lowered: Lowered, layer: Layer, summation: Summation | None) -> TermIntervals:
    """The products of the codes less their zero points, or less the summation's offsets, in its order."""
    offsets = None if summation is None else summation.offsets
    names = ("x_zero", "w_zero") if layer.op in CONVS else ("a_zero", "b_zero")
    zeros = [layer.parameters.get(name, 0) for name in names]
    return (_conv_terms if layer.op in CONVS else _matmul_terms)(lowered, layer, zeros, offsets or zeros, summation)


def _conv_terms(
    lowered: Lowered, layer: Layer, zeros: Sequence[Any], offsets: Sequence[Any], summation: Summation | None
) -> TermIntervals:
    parameters = layer.parameters
    w_low, w_high = _elements(lowered, layer, 1, offsets[1], axis=0)
    outside = int(zeros[0]) - int(offsets[0])  # what padding supplies
    x_low, x_high = interval(lowered, layer, 0, offsets[0], outside)
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
    return TermIntervals([(a, b) for a, b in windows], len(low), int(np.prod(low.shape[2:])))


def _in_mac_order(values: Array, summation: Summation | None) -> Array:
    """[M, channels, *kernel] as [M, K], pass by pass in the summation's order."""
    s = summation or PLAIN
    order = s.order or tuple(range(values.ndim - 1))
    axes = (0, *(axis + 1 for axis in order))
    blocks = [values[:, a:b].transpose(axes).reshape(len(values), -1) for a, b in s.blocks(values.shape[1])]
    return np.concatenate(blocks, axis=1)


def _matmul_terms(
    lowered: Lowered, layer: Layer, zeros: Sequence[Any], offsets: Sequence[Any], summation: Summation | None
) -> TermIntervals:
    """One channel a column; one for all where b is computed."""
    a_low, a_high = interval(lowered, layer, 0, offsets[0], int(zeros[0]) - int(offsets[0]))
    if constant_codes(lowered, layer, 1) is not None:
        b_low, b_high = _elements(lowered, layer, 1, offsets[1], axis=-1)
        columns = b_low.shape[-1] if b_low.ndim > 1 else 1
        ends = _products(layer, a_low, a_high, b_low, b_high)
        low, high = (np.moveaxis(e, -2, -1).reshape(-1, e.shape[-2]) if e.ndim > 1 else e[None] for e in ends)
        return TermIntervals([(low, high)], columns, 1)
    b_ends = interval(lowered, layer, 1, offsets[1])
    if constant_codes(lowered, layer, 0) is not None:
        elements, _ = _elements(lowered, layer, 0, offsets[0], axis=-1)
        low, high = _products(layer, *b_ends, elements, elements)
        return TermIntervals([(low.reshape(-1, low.shape[-1]), high.reshape(-1, high.shape[-1]))], 1, 1)
    corners = [x * y for x in (a_low, a_high) for y in b_ends]
    length = inner_length(lowered, layer)
    return TermIntervals(
        [(np.full((1, length), min(corners), object), np.full((1, length), max(corners), object))], 1, 1
    )


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
    codes = constant_codes(lowered, layer, index)
    if codes is not None:
        other_low, other_high = interval(lowered, layer, 1 - index, 0)
        shape = [1] * codes.ndim
        shape[axis] = -1
        zeros = np.asarray(zero).reshape(shape if np.ndim(zero) else ())
        # int64 where no sum of products can leave it, else Python's integers.
        bits = 8 * codes.dtype.itemsize + (other_high - other_low).bit_length() + codes.size.bit_length() + 2
        centred = codes.astype(np.int64 if bits < 64 else object) - zeros
        return centred, centred
    low, high = interval(lowered, layer, index, zero)
    lengths = lowered.graph.values[layer.inputs[index]].shape
    if None in lengths:
        raise UnsupportedOp(
            f"node {layer.node!r}: the shape {lengths} of operand {layer.inputs[index]!r} is not known, so its sums "
            f"have no bound; fix that shape in the model"
        )
    shape = [length for length in lengths if length is not None]
    return np.full(shape, low, object), np.full(shape, high, object)


def interval(lowered: Lowered, layer: Layer, index: int, zero: Any, outside: int = 0) -> tuple[int, int]:
    """The interval of an operand minus its zero point, widened to include what padding contributes in its place."""
    codes = constant_codes(lowered, layer, index)
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
    shape = shape_of(lowered, name)
    return shape[2:] if len(shape) == count + 2 else (None,) * count


def inner_length(lowered: Lowered, layer: Layer) -> int:
    """The number of products in each sum of a matmul of two computed operands."""
    a, b = (shape_of(lowered, name) for name in layer.inputs[:2])
    length = a[-1] if a else None
    if length is None and b:
        length = b[-2] if len(b) > 1 else b[0]
    if length is None:
        raise UnsupportedOp(
            f"node {layer.node!r}: the number of products in each sum of {layer.inputs[0]!r} x {layer.inputs[1]!r} is "
            f"not known, so the accumulator has no bound; fix that length in the model"
        )
    return length


def shape_of(lowered: Lowered, name: str) -> tuple[int | None, ...]:
    """The shape of a tensor of the graph, () where there is none of that name."""
    value = lowered.graph.values.get(name)
    return () if value is None else value.shape


def constant_codes(lowered: Lowered, layer: Layer, index: int) -> Array | None:
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


def integers(values: Array) -> Array:
    """The values as Python's integers."""
    return np.asarray(values, object)
