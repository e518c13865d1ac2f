"""Sums of products: every product in MAC order, the bias, what the accumulator does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from intsim.comparison.explain.elements import Array, Elements, broadcast_at
from intsim.comparison.explain.explanation import Coordinate, Line, Step
from intsim.lowering.lowered import CONVS, Layer
from intsim.taps import trace

PADDING = "padding"
"""What stands for the coordinate of an input element that lies in the padding."""


def explain_conv(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """acc[n, m, p] = sum over c, k of (x[n, c, p stride + k dilation] - x_zero) (w[m, c, k] - w_zero) + bias."""
    w = _operand(elements, layer, "w", 1)
    return _sum(elements, layer, at, _conv_products(elements, layer, at, w), w)


def explain_matmul(elements: Elements, layer: Layer, at: Coordinate) -> Step:
    """acc[..., i, j] = sum over k of (a[..., i, k] - a_zero) (b[..., k, j] - b_zero) + bias."""
    b = _operand(elements, layer, "b", 1)
    return _sum(elements, layer, at, _matmul_products(elements, layer, at, b), b)


def _operand(elements: Elements, layer: Layer, key: str, index: int) -> Array:
    return layer.parameters[key] if key in layer.parameters else elements.array(layer.inputs[index])


def _conv_products(elements: Elements, layer: Layer, at: Coordinate, w: Array) -> Iterator[dict[str, Any]]:
    p, name = layer.parameters, layer.inputs[0]
    image, channel, *position = at
    lengths = elements.shape(name)[2:]
    first = channel // (len(w) // p["groups"]) * w.shape[1]
    x_zero, w_zero = int(p["x_zero"]), _channel(p.get("w_zero", 0), channel)
    for c, *k in itertools.product(*(range(length) for length in w.shape[1:])):
        place = [
            out * s + tap * d - pad
            for out, s, tap, d, pad in zip(position, p["strides"], k, p["dilations"], p["pads"], strict=False)
        ]
        inside = all(0 <= i < length for i, length in zip(place, lengths, strict=True))
        source = (image, first + c, *place)
        input = list(elements.place(name, source)) if inside else PADDING
        x = elements.code(name, source) if inside else x_zero
        yield _term(p, input, x, x_zero, [channel, c, *k], int(w[(channel, c, *k)]), w_zero)


def _matmul_products(elements: Elements, layer: Layer, at: Coordinate, b: Array) -> Iterator[dict[str, Any]]:
    p, name = layer.parameters, layer.inputs[0]
    a = elements.array(name)
    row, column = at[: len(at) - int(b.ndim > 1)], at[-1:] if b.ndim > 1 else ()
    batch, inner_row = (row[:-1], row[-1:]) if a.ndim > 1 else (row, ())
    a_zero, b_zero = int(p["a_zero"]), _channel(p.get("b_zero", 0), column[0] if column else 0)
    a_batch, b_batch = (broadcast_at(operand.shape[:-2], batch) for operand in (a, b))
    for k in range(a.shape[-1]):
        source, weight = (*a_batch, *inner_row, k), (*b_batch, k, *column)
        x = elements.code(name, source)
        yield _term(p, list(elements.place(name, source)), x, a_zero, list(weight), int(b[weight]), b_zero)


def _term(
    p: Mapping[str, Any], input: list[int] | str, x: int, x_zero: int, weight: list[int], w: int, w_zero: int
) -> dict[str, Any]:
    """One product: where its factors are, their codes, what is left of these less a zero point, the product.

    With POST or POT weights the product is looked up: sign(w) * T[m, x - zero], m the magnitude of w.
    """
    x_part = {"input": input, "x": x} | ({"x - zero": x - x_zero} if x_zero else {})
    if "table" in p:
        half = len(p["table"])
        found = int(p["table"][w % half, x - x_zero - p["low"]])
        sign = -1 if w >= half else int(w > 0)
        return {
            **x_part,
            "weight": weight,
            "w": w,
            "sign": sign,
            "m": w % half,
            "T[m, x]": found,
            "product": sign * found,
        }
    w_part = {"weight": weight, "w": w} | ({"w - zero": w - w_zero} if w_zero else {})
    return {**x_part, **w_part, "product": (x - x_zero) * (w - w_zero)}


def _sum(elements: Elements, layer: Layer, at: Coordinate, products: Iterator[Mapping[str, Any]], w: Array) -> Step:
    p = layer.parameters
    if p.get("summation") is not None or "constant" in p:
        return _walked(elements, layer, at, products, w)
    bits, overflow = int(p["accumulator_bits"]), p["overflow"]
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    total, terms = 0, []
    for term in products:
        total += term["product"]
        if overflow == "saturate":
            total = min(max(total, low), high)
        terms.append({**term, "sum": total})
    lines = [Line("sum of products", total, f"{len(terms)} products in MAC order")]
    if p["bias"] is not None:
        channel = at[1] if layer.op in CONVS else (at[-1] if w.ndim > 1 else 0)
        bias = _channel(p["bias"], channel)
        lines.append(Line("bias", bias, "in units of the accumulator, added last"))
        total += bias
        lines.append(Line("exact sum", total))
    fits = low <= total <= high
    if overflow == "saturate":
        total = min(max(total, low), high)
        how = f"{bits} bits, clamped to {low}…{high} after each addition"
    else:
        total = (total - low) % (1 << bits) + low
        how = f"{bits} bits, it fits" if fits else f"{bits} bits, wrapped modulo 2**{bits}"
    lines.append(Line("accumulator", total, how))
    return Step(layer.outputs[0], layer.op, elements.place(layer.outputs[0], at), total, (), tuple(terms), tuple(lines))


def _walked(elements: Elements, layer: Layer, at: Coordinate, products: Iterator[Mapping[str, Any]], w: Array) -> Step:
    """The sum of a target with a walk of its own: the terms as they are stored, then all that an adder had to hold.

    Of the partial sums after each product only those are shown that did not fit.
    """
    total, terms = 0, []
    for term in products:
        total += term["product"]
        terms.append({**term, "sum": total})
    lines = [Line("sum of products", total, f"{len(terms)} products, exactly")]
    for key in ("bias", "constant"):
        if layer.parameters.get(key) is not None:
            channel = at[1] if layer.op in CONVS else (at[-1] if w.ndim > 1 else 0)
            lines.append(Line(key, _channel(layer.parameters[key], channel), "in units of the accumulator"))
    value, place = 0, elements.place(layer.outputs[0], at)
    for stop in trace.stops(layer, elements.array(layer.inputs[0]), w, at):
        value, exact = int(stop.held), int(stop.exact)
        if exact != value:
            lines.append(Line(stop.what, value, f"{stop.why}: {exact} does not fit"))
        elif stop.why not in ("product", "sum of neighbours"):
            lines.append(Line(stop.what, value, stop.why))
    return Step(layer.outputs[0], layer.op, place, value, (), tuple(terms), tuple(lines))


def _channel(value: Any, channel: int) -> int:
    return int(value if np.ndim(value) == 0 else np.reshape(value, -1)[channel if np.size(value) > 1 else 0])
