"""Trace: the products of one accumulator element, and the spec's walk over them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from intsim.lowering.lowered import CONVS, Layer
from intsim.spec.accumulate import Stop, Terms, walk
from intsim.spec.integers import result
from intsim.summation import ALL_EVENTS, EVENTS, PLAIN, Summation

Array = np.ndarray[Any, Any]


def stops(layer: Layer, x: Array, w: Array, at: tuple[int, ...]) -> Iterator[Stop]:
    """What the adders of a conv or matmul layer hold on the way to the element `at`: the spec's stops, arrays 0-D."""
    p = layer.parameters
    s: Summation = p.get("summation") or PLAIN
    passes = _products(layer, x, w, at, s)
    correction = None
    if s.offsets is not None:
        exact = sum(itertools.chain(*_products(layer, x, w, at, None)))
        correction = result(exact - sum(itertools.chain(*passes)))
    terms = Terms(
        (),
        [functools.partial(map, result, products) for products in passes],
        correction,
        result(_added(layer, "bias", at)),
        result(_added(layer, "constant", at)),
    )
    return walk(terms, int(p["accumulator_bits"]), p["overflow"], s)


def first_misfit(layer: Layer, x: Array, w: Array, at: tuple[int, ...], events: int = ALL_EVENTS) -> tuple[str, int]:
    """What could not hold the first value of the element `at` that does not fit, and that value.

    events: the bits of those adders that are looked at. The accumulator's total where everything fits.
    """
    for stop in stops(layer, x, w, at):
        if stop.exact != stop.held and EVENTS[stop.what] & events:
            break
    return stop.what, int(stop.exact)


def _products(layer: Layer, x: Array, w: Array, at: tuple[int, ...], summation: Summation | None) -> list[list[int]]:
    """The products of each pass, in MAC order; None: of the codes less their zero points, as they are stored."""
    s = summation or PLAIN
    make = _conv_products if layer.op in CONVS else _matmul_products
    products = make(layer.parameters, x, w, at, s.offsets)
    order = s.order or tuple(range(products.ndim))
    return [[int(v) for v in products[a:b].transpose(order).reshape(-1)] for a, b in s.blocks(len(products))]


def _added(layer: Layer, key: str, at: tuple[int, ...]) -> int:
    values = layer.parameters.get(key)
    return 0 if values is None else _channel(values, at[1] if layer.op in CONVS else at[-1] if at else 0)


def _conv_products(parameters: Any, x: Array, w: Array, at: tuple[int, ...], offsets: tuple[int, int] | None) -> Array:
    """object[channels, *kernel]; padding supplies the code x_zero."""
    image, channel, *position = at
    rank = len(position)
    x_zero, w_zero = int(parameters.get("x_zero", 0)), _channel(parameters.get("w_zero", 0), channel)
    x_offset, w_offset = offsets or (x_zero, w_zero)
    first = channel // (w.shape[0] // parameters["groups"]) * w.shape[1]
    strides, dilations, pads = parameters["strides"], parameters["dilations"], parameters["pads"]
    products = np.zeros(w.shape[1:], object)
    for tap in np.ndindex(*w.shape[1:]):
        place = tuple(position[i] * strides[i] + tap[1 + i] * dilations[i] - pads[i] for i in range(rank))
        inside = all(0 <= p < length for p, length in zip(place, x.shape[2:], strict=True))
        code = int(x[(image, first + tap[0], *place)]) if inside else x_zero
        products[tap] = _product(parameters, code - x_offset, int(w[(channel, *tap)]), w_offset)
    return products


def _matmul_products(
    parameters: Any, a: Array, b: Array, at: tuple[int, ...], offsets: tuple[int, int] | None
) -> Array:
    """object[terms]."""
    position = list(at)
    column = position.pop() if b.ndim > 1 else None
    row = position.pop() if a.ndim > 1 else None
    left = a if row is None else _batch(a, position)[row]
    right = b if column is None else _batch(b, position)[:, column]
    a_zero, b_zero = int(parameters.get("a_zero", 0)), _channel(parameters.get("b_zero", 0), column or 0)
    a_offset, b_offset = offsets or (a_zero, b_zero)
    return np.array(
        [_product(parameters, int(p) - a_offset, int(q), b_offset) for p, q in zip(left, right, strict=True)], object
    )


def _product(parameters: Any, x: int, w: int, w_offset: int) -> int:
    """x (w - offset), or sign(w) T[|w|, x] where products are looked up."""
    if "table" not in parameters:
        return x * (w - w_offset)
    half = len(parameters["table"])
    found = int(parameters["table"][w % half, x - parameters["low"]])
    return -found if w >= half else found


def _batch(operand: Array, position: list[int]) -> Array:
    """The matrix of a stacked operand at a position of the broadcast batch axes."""
    axes = operand.shape[:-2]
    own = position[len(position) - len(axes) :]
    return operand[tuple(0 if length == 1 else i for i, length in zip(own, axes, strict=True))]


def _channel(values: Any, channel: int) -> int:
    """A per-channel parameter's value; a scalar serves all channels."""
    array = np.atleast_1d(values)
    return int(array[channel if array.size > 1 else 0])
