"""Ranges: what an accumulator can reach, proved per channel by interval arithmetic on the real weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.lowering.lowered import Layer, Lowered

Array = np.ndarray[Any, Any]

MAC_OPS = ("conv", "matmul")
"""The layers that accumulate."""


@dataclass(frozen=True)
class Bounds:
    """What one accumulator can hold, one Python integer a channel (one for all where no operand is constant).

    low, high: the exact sum, zero points, padding and bias included; attained by some input.
    partial_low, partial_high: every partial sum, whatever the order of the additions.
    needed_bits: the narrowest two's complement accumulator that holds every sum that its overflow rule looks at:
    the total for `wrap` and `trap` (a modular sum may leave and come back), each partial sum for `saturate`.
    declared_bits: the target's accumulator. cannot_overflow: needed_bits <= declared_bits.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    partial_low: tuple[int, ...]
    partial_high: tuple[int, ...]
    needed_bits: int
    declared_bits: int

    @property
    def cannot_overflow(self) -> bool:
        """Whether no input can leave the declared accumulator."""
        return self.needed_bits <= self.declared_bits

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


def bounds_of(lowered: Lowered, layer: Layer) -> Bounds:
    """The Bounds of one conv or matmul layer.

    With the centred operands x' = x - x_zero in [a, b] and w' = w - w_zero: high = sum(max(w' a, w' b)) + bias,
    low = sum(min(w' a, w' b)) + bias. A tap that lies in the padding contributes 0.
    """
    sums = _conv_sums if layer.op == "conv" else _matmul_sums
    low, high = sums(lowered, layer)
    bias = layer.parameters.get("bias")
    biases = [0] * len(low) if bias is None else [int(b) for b in np.atleast_1d(bias)]
    if len(low) == 1:
        low, high = low * len(biases), high * len(biases)
    if len(biases) == 1:
        biases = biases * len(low)
    totals = [(lo + b, hi + b) for lo, hi, b in zip(low, high, biases, strict=True)]
    # In any order: the negative parts alone, or the positive parts alone, may come first.
    partial_low = tuple(min(lo, 0) + min(b, 0) for lo, b in zip(low, biases, strict=True))
    partial_high = tuple(max(hi, 0) + max(b, 0) for hi, b in zip(high, biases, strict=True))
    total_low, total_high = tuple(t[0] for t in totals), tuple(t[1] for t in totals)
    needed = signed_bits(min(total_low), max(total_high))
    if layer.parameters["overflow"] == "saturate":
        # The bias comes last, so the sum without it is one of the partial sums.
        needed = max(needed, signed_bits(min(low), max(high)))
    declared = int(layer.parameters["accumulator_bits"])
    return Bounds(total_low, total_high, partial_low, partial_high, needed, declared)


def worst_case(lowered: Lowered, layer: Layer) -> tuple[int, int]:
    """The least and the greatest sum of a MAC layer for any weights that their format allows, the bias as it is."""
    node = next(n for n in lowered.graph.nodes if n.name == layer.node)
    w_format = lowered.graph.format(node.inputs[1])
    assert w_format is not None, "the operands of a MAC layer have formats"
    x_zero, w_zero = ("x_zero", "w_zero") if layer.op == "conv" else ("a_zero", "b_zero")
    x = _interval(lowered, layer, 0, layer.parameters.get(x_zero, 0))
    zeros = layer.parameters.get(w_zero, 0)
    w = w_format.low - int(np.max(zeros)), w_format.high - int(np.min(zeros))
    corners = [p * q for p in x for q in w]
    codes = constant_operand(lowered, layer, 1)
    if codes is None:
        length = _inner_length(lowered, layer)
    else:
        length = codes[0].size if layer.op == "conv" else codes.shape[-2 if codes.ndim > 1 else 0]
    bias = np.atleast_1d(0 if layer.parameters.get("bias") is None else layer.parameters["bias"])
    return min(corners) * length + int(bias.min()), max(corners) * length + int(bias.max())


def signed_bits(low: int, high: int) -> int:
    """The narrowest two's complement width that holds both integers."""
    return max((-low - 1 if low < 0 else low).bit_length(), (-high - 1 if high < 0 else high).bit_length()) + 1


def constant_operand(lowered: Lowered, layer: Layer, index: int) -> Array | None:
    """The codes of a MAC layer's first or second operand where it is a constant, None where it is computed."""
    keyword = (("x", "w") if layer.op == "conv" else ("a", "b"))[index]
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


def _conv_sums(lowered: Lowered, layer: Layer) -> tuple[list[int], list[int]]:
    """Per output channel the least and the greatest sum of products, without the bias."""
    parameters = layer.parameters
    w_low, w_high = _elements(lowered, layer, 1, parameters.get("w_zero", 0), axis=0)
    x_low, x_high = _interval(lowered, layer, 0, parameters.get("x_zero", 0))
    low, high = (t.sum(axis=1) for t in _products(x_low, x_high, w_low, w_high))
    lengths = _lengths(lowered, layer.inputs[0], low.ndim - 1)
    pads = parameters["pads"]
    taps = [
        valid_taps(length, low.shape[1 + i], strides, dilation, pads[i], pads[i + len(lengths)])
        for i, (length, strides, dilation) in enumerate(
            zip(lengths, parameters["strides"], parameters["dilations"], strict=True)
        )
    ]
    channels = np.arange(len(low))
    windows = [np.ix_(channels, *map(np.array, window)) for window in product(*taps)]
    lows = [low[window].reshape(len(low), -1).sum(axis=1) for window in windows]
    highs = [high[window].reshape(len(high), -1).sum(axis=1) for window in windows]
    return [min(map(int, v)) for v in zip(*lows, strict=True)], [max(map(int, v)) for v in zip(*highs, strict=True)]


def _matmul_sums(lowered: Lowered, layer: Layer) -> tuple[list[int], list[int]]:
    """Per column the least and the greatest sum of products, without the bias; one for all if b is computed."""
    a_zero, b_zero = layer.parameters.get("a_zero", 0), layer.parameters.get("b_zero", 0)
    a_low, a_high = _interval(lowered, layer, 0, a_zero)
    if constant_operand(lowered, layer, 1) is not None:
        b_low, b_high = _elements(lowered, layer, 1, b_zero, axis=-1)
        columns = b_low.shape[-1] if b_low.ndim > 1 else 1
        low, high = (
            t.sum(axis=-2 if t.ndim > 1 else 0).reshape(-1, columns) for t in _products(a_low, a_high, b_low, b_high)
        )
        return [int(v) for v in low.min(axis=0)], [int(v) for v in high.max(axis=0)]
    b_low_, b_high_ = _interval(lowered, layer, 1, b_zero)
    if constant_operand(lowered, layer, 0) is not None:
        a_elements, _ = _elements(lowered, layer, 0, a_zero, axis=-1)
        low, high = (t.sum(axis=-1) for t in _products(b_low_, b_high_, a_elements, a_elements))
        return [int(low.min())], [int(high.max())]
    corners = [x * y for x in (a_low, a_high) for y in (b_low_, b_high_)]
    length = _inner_length(lowered, layer)
    return [min(corners) * length], [max(corners) * length]


def _products(a: int, b: int, low: Array, high: Array) -> tuple[Array, Array]:
    """The least and the greatest product of a number in [a, b] and one in [low, high], elementwise."""
    least = np.minimum(np.minimum(low * a, low * b), np.minimum(high * a, high * b))
    greatest = np.maximum(np.maximum(low * a, low * b), np.maximum(high * a, high * b))
    return least, greatest


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


def _interval(lowered: Lowered, layer: Layer, index: int, zero: Any) -> tuple[int, int]:
    """The interval of an operand minus its zero point, widened to include 0, which is what padding contributes."""
    codes = constant_operand(lowered, layer, index)
    if codes is not None:
        low, high = int(codes.min()), int(codes.max())
    else:
        format = lowered.values[layer.inputs[index]]
        if format is None:
            raise OutOfDomain(f"node {layer.node!r}: operand {layer.inputs[index]!r} of an integer sum holds reals")
        low, high = format.low, format.high
    return min(low - int(np.max(zero)), 0), max(high - int(np.min(zero)), 0)


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
