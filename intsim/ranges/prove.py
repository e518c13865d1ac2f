"""Prove: the Bounds of each accumulator of a network, by interval arithmetic on the real weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.lowering.lowered import CONVS, MAC_LAYERS, Layer, Lowered
from intsim.ranges.bounds import Bounds, joined, signed_bits
from intsim.ranges.reach import Reach
from intsim.ranges.terms import constant_codes, inner_length, integers, interval, shape_of, terms_of
from intsim.summation import PLAIN, Summation

Array = np.ndarray[Any, Any]


def prove(lowered: Lowered, known: tuple[Lowered, Mapping[str, Bounds]] | None = None) -> dict[str, Bounds]:
    """The Bounds of each accumulating layer, by layer name.

    known: what was proved before of the same network in other formats; a layer that is the same there (operands,
    formats, parameters) is not proved again.
    Errors: UnsupportedOp where the number of products in a sum is unknown.
    """
    before = {} if known is None else {layer.name: layer for layer in known[0].layers}
    proofs = {}
    for layer in lowered.layers:
        if layer.op not in MAC_LAYERS:
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

    The factors are x' = x - x_zero in [a, b] and w' = w - w_zero. Each product lies within w' a and w' b; where its tap
    lies in the padding, it is 0. Intervals are added along the walk of spec/accumulate.py. All that it does to a value,
    rounding included, is monotone, so that the ends of an interval follow its ends.
    """
    s: Summation = layer.parameters.get("summation") or PLAIN
    extra = [_per_channel(layer.parameters.get(key)) for key in ("bias", "constant")]
    plain = terms_of(lowered, layer, None).spread(max(map(len, extra)))
    own = plain if s == PLAIN else terms_of(lowered, layer, s).spread(plain.channels)
    channels = plain.channels
    bias, constant = (v * channels if len(v) == 1 else v for v in extra)

    exact = [(integers(low.sum(axis=1)), integers(high.sum(axis=1))) for low, high in plain.windows]
    sums = plain.by_channel([e[0] for e in exact], min), plain.by_channel([e[1] for e in exact], max)
    reach = Reach(s, layer, channels)
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


def _per_channel(values: Any) -> list[int]:
    return [0] if values is None else [int(v) for v in np.atleast_1d(values)]


def worst_case(lowered: Lowered, layer: Layer) -> tuple[int, int]:
    """The least and the greatest sum of a MAC layer for any weights that their format allows, the bias as it is."""
    node = next(n for n in lowered.graph.nodes if n.name == layer.node)
    w_format = lowered.graph.format(node.inputs[1])
    assert w_format is not None, "the operands of a MAC layer have formats"
    x_zero, w_zero = ("x_zero", "w_zero") if layer.op in CONVS else ("a_zero", "b_zero")
    x = interval(lowered, layer, 0, layer.parameters.get(x_zero, 0))
    if "table" in layer.parameters:
        ends = layer.parameters["table"][:, [end - layer.parameters["low"] for end in x]]
        corners = [-int(np.abs(ends).max()), int(np.abs(ends).max())]
    else:
        zeros = layer.parameters.get(w_zero, 0)
        w = w_format.low - int(np.max(zeros)), w_format.high - int(np.min(zeros))
        corners = [p * q for p in x for q in w]
    codes = constant_codes(lowered, layer, 1)
    if codes is None:
        length = inner_length(lowered, layer)
    else:
        length = codes[0].size if layer.op in CONVS else codes.shape[-2 if codes.ndim > 1 else 0]
    bias = np.atleast_1d(0 if layer.parameters.get("bias") is None else layer.parameters["bias"])
    return min(corners) * length + int(bias.min()), max(corners) * length + int(bias.max())


def worst_case_bits(lowered: Lowered, layer: Layer) -> int:
    """The accumulator that holds every sum for any weights that their format allows, the bias as it is."""
    if layer.parameters.get("summation") is None or "table" in layer.parameters:
        return signed_bits(*worst_case(lowered, layer))
    key, codes = ("w" if layer.op in CONVS else "b"), constant_codes(lowered, layer, 1)
    if codes is None:
        return bounds_of(lowered, layer).needed_bits
    w_format = lowered.graph.format(next(n for n in lowered.graph.nodes if n.name == layer.node).inputs[1])
    assert w_format is not None, "the operands of a MAC layer have formats"
    extremes = [np.full(codes.shape, code, np.int64) for code in (w_format.low, w_format.high)]
    layers = [replace(layer, parameters={**layer.parameters, key: extreme}) for extreme in extremes]
    return max(bounds_of(lowered, extreme).needed_bits for extreme in layers)


def _same(lowered: Lowered, layer: Layer, other: Lowered, before: Layer) -> bool:
    """Whether a layer accumulates the same sums in both networks."""
    return (
        (layer.op, layer.inputs, layer.parameters.keys()) == (before.op, before.inputs, before.parameters.keys())
        and all(lowered.values.get(n) == other.values.get(n) for n in layer.inputs)
        and all(shape_of(lowered, n) == shape_of(other, n) for n in layer.inputs)
        and all(_equal(constant_codes(lowered, layer, i), constant_codes(other, before, i)) for i in (0, 1))
        and all(_equal(layer.parameters[k], before.parameters[k]) for k in layer.parameters)
    )


def _equal(a: Any, b: Any) -> bool:
    return a is b or (np.array_equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else bool(a == b))
