"""Sums: the products of one accumulator element, in MAC order, on Python's integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from intsim.lowering.lowered import Layer

Array = np.ndarray[Any, Any]


def addends(layer: Layer, x: Array, w: Array, at: tuple[int, ...]) -> Iterator[int]:
    """What a conv or matmul layer adds to the element `at`, in MAC order: the products, then the bias.

    x, w: the operands' codes (a and b of a matmul). Products with padding are 0 and left out.
    """
    parameters = layer.parameters
    yield from _conv_products(parameters, x, w, at) if layer.op == "conv" else _matmul_products(parameters, x, w, at)
    bias = parameters.get("bias")
    if bias is not None:
        yield _channel(bias, at[1] if layer.op == "conv" else at[-1] if at else 0)


def first_misfit(layer: Layer, x: Array, w: Array, at: tuple[int, ...]) -> int:
    """The first sum of the element `at` that its accumulator cannot hold.

    `wrap` and `trap`: the exact total. `saturate`: the first partial sum that has to be clamped; the total where none
    has to be.
    """
    bits = int(layer.parameters["accumulator_bits"])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    total = 0
    for addend in addends(layer, x, w, at):
        total += addend
        if layer.parameters["overflow"] == "saturate" and not low <= total <= high:
            return total
    return total


def _conv_products(parameters: Any, x: Array, w: Array, at: tuple[int, ...]) -> Iterator[int]:
    image, channel, *position = at
    rank = len(position)
    x_zero, w_zero = int(parameters.get("x_zero", 0)), _channel(parameters.get("w_zero", 0), channel)
    first = channel // (w.shape[0] // parameters["groups"]) * w.shape[1]
    strides, dilations, pads = parameters["strides"], parameters["dilations"], parameters["pads"]
    for tap in np.ndindex(*w.shape[1:]):
        place = tuple(position[i] * strides[i] + tap[1 + i] * dilations[i] - pads[i] for i in range(rank))
        if all(0 <= p < length for p, length in zip(place, x.shape[2:], strict=True)):
            code = int(x[(image, first + tap[0], *place)])
            yield (code - x_zero) * (int(w[(channel, *tap)]) - w_zero)


def _matmul_products(parameters: Any, a: Array, b: Array, at: tuple[int, ...]) -> Iterator[int]:
    position = list(at)
    column = position.pop() if b.ndim > 1 else None
    row = position.pop() if a.ndim > 1 else None
    left = a if row is None else _batch(a, position)[row]
    right = b if column is None else _batch(b, position)[:, column]
    a_zero, b_zero = int(parameters.get("a_zero", 0)), _channel(parameters.get("b_zero", 0), column or 0)
    for p, q in zip(left, right, strict=True):
        yield (int(p) - a_zero) * (int(q) - b_zero)


def _batch(operand: Array, position: list[int]) -> Array:
    """The matrix of a stacked operand at a position of the broadcast batch axes."""
    axes = operand.shape[:-2]
    own = position[len(position) - len(axes) :]
    return operand[tuple(0 if length == 1 else i for i, length in zip(own, axes, strict=True))]


def _channel(values: Any, channel: int) -> int:
    """A per-channel parameter's value; a scalar serves all channels."""
    array = np.atleast_1d(values)
    return int(array[channel if array.size > 1 else 0])
