"""Convolution: the raw accumulators, 1-D, 2-D or of any rank, with groups."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import Events, Sums, accumulate, carrier, largest_sum, magnitude
from intsim.spec.integers import INT64, Integers, along, as_integers, multiply, result, subtract
from intsim.spec.windows import LONGEST, Windows, windows
from intsim.summation import PLAIN, Summation


def conv(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    x_zero: int = 0,
    w_zero: npt.ArrayLike = 0,
    bias: npt.ArrayLike | None = None,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
    accumulator_bits: int,
    overflow: str,
    summation: Summation | None = None,
    constant: npt.ArrayLike = 0,
) -> tuple[Integers, Events]:
    """Accumulators and what could not hold a value on the way to each.

    acc[n, m, p] = bias[m] + constant[m]
                 + sum over c, k of (x[n, c, p * stride + k * dilation] - x_zero) * (w[m, c, k] - w_zero[m])

    x: int[N, C, *spatial]; padding supplies x_zero (so it contributes 0). w: int[M, C / groups, *kernel]; output
    channel m reads the input channels of group m // (M / groups). w_zero: int or [M]; bias: None, int or [M], in
    units of the accumulator; constant: int or [M], added last of all (the rounding constant, where the accumulator's
    adder adds it). pads: before each spatial axis, then after each.
    accumulator_bits: 1 to 64, signed; overflow: `wrap` (modulo 2**bits), `saturate` (clamped), `trap`
    (AccumulatorOverflow if a sum does not fit). summation: order, adder tree, passes, offsets: spec/accumulate.py has
    the walk; None: one product at a time (channel, row, column), clamped after each addition, the bias last.
    Returns i64[N, M, *output] and u8 of that shape: the bits of intsim.summation.EVENTS, 0 where all was held: the
    exact sum (wrap), each partial sum (saturate). Raises OutOfDomain, AccumulatorOverflow.
    Source: paper section "DiffQuant", (19); ONNX's Conv.
    """
    x, w = as_integers(x, "x"), as_integers(w, "w")
    if x.ndim < 3 or w.ndim != x.ndim:
        raise OutOfDomain(f"x and w must have the same rank of at least 3, not shapes {x.shape} and {w.shape}")
    groups = checks.integer(groups, 1, LONGEST, "groups")
    if w.shape[1] * groups != x.shape[1] or w.shape[0] % groups:
        raise OutOfDomain(f"groups must split x {x.shape} and w {w.shape} evenly, not {groups!r}")
    layout = windows(x.shape[2:], w.shape[2:], strides, dilations, pads)
    outputs = (1, w.shape[0], *layout.output)
    s = PLAIN if summation is None else summation
    order = tuple(range(w.ndim - 1)) if s.order is None else s.order
    if len(order) != w.ndim - 1:
        raise OutOfDomain(f"order must name the {w.ndim - 1} axes of a kernel, not {order!r}")
    x_zero = checks.integer(x_zero, *INT64, "x_zero")
    w_zeros = checks.channelwise(w_zero, 0, w.shape, *INT64, "w_zero")
    x_offset, w_offset = (x_zero, w_zeros) if s.offsets is None else (s.offsets[0], result(s.offsets[1]))
    padded = layout.padded(subtract(x, result(x_offset)), x_zero - x_offset)  # the factors as they are multiplied
    factors = subtract(w, w_offset)
    offset = along(as_integers(0 if bias is None else bias, "bias"), 1, outputs, "bias")
    last = along(as_integers(constant, "constant"), 1, outputs, "constant")

    centred_x, centred_w = layout.padded(subtract(x, result(x_zero)), 0), subtract(w, w_zeros)
    axes = tuple(range(1, w.ndim))
    products = max(magnitude(a) * largest_sum(b, axes) for a, b in ((padded, factors), (centred_x, centred_w)))
    largest = 3 * products + magnitude(offset) + magnitude(last)  # products, and a correction of twice as much
    if s.offsets is None:
        largest = products + magnitude(offset) + magnitude(last)

    def exact() -> Integers:
        return _sum(centred_x, centred_w, layout, groups, carrier(largest))

    correction = None
    if s.offsets is not None:
        correction = subtract(exact(), _sum(padded, factors, layout, groups, carrier(largest)))
    sums = Sums(
        (len(x), w.shape[0], *layout.output),
        [functools.partial(_products, padded, factors, layout, groups, order, block) for block in s.blocks(w.shape[1])],
        correction,
        offset,
        last,
        lambda: result(exact() + offset + last),
        largest,
    )
    return accumulate(sums, accumulator_bits, overflow, summation)


def _sum(x: Integers, w: Integers, layout: Windows, groups: int, dtype: np.dtype[Any]) -> Integers:
    """The exact sums without bias, [N, M, *output]: for each kernel position one matrix product over the channels."""
    n, m, depth = len(x), len(w), w.shape[1]
    x = x.astype(dtype).reshape(n, groups, depth, *x.shape[2:])
    w = w.astype(dtype).reshape(groups, m // groups, *w.shape[1:])
    places = int(np.prod(layout.output))
    acc = np.zeros((n, groups, m // groups, places), dtype)
    for position, tap in layout.taps(x):
        weights: tuple[Any, ...] = (..., *position)
        acc += w[weights] @ tap.reshape(n, groups, depth, places)
    acc = acc.reshape(n, m, *layout.output)
    return acc.astype(np.int64) if dtype == np.float64 else acc


def _products(
    x: Integers, w: Integers, layout: Windows, groups: int, order: tuple[int, ...], block: tuple[int, int]
) -> Iterator[Integers]:
    """The products of a pass over the channels of a block, in MAC order, each [N, M, *output]."""
    reads = np.arange(len(w)) // (len(w) // groups) * w.shape[1]
    ranges = [range(*block), *map(range, w.shape[2:])]
    for walked in itertools.product(*(ranges[axis] for axis in order)):
        channel, *position = (walked[order.index(axis)] for axis in range(len(order)))
        weights: tuple[Any, ...] = (slice(None), channel, *position)
        tap = layout.tap(x[:, reads + channel], tuple(position))
        yield multiply(tap, w[weights].reshape(-1, *[1] * len(position)))
