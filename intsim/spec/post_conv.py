"""Convolution with POST or POT weights: the raw accumulators, 1-D, 2-D or of any rank, with groups."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import Events, Sums, accumulate, magnitude
from intsim.spec.conv import conv
from intsim.spec.integers import INT64, Integers, along, as_integers, result, subtract
from intsim.spec.post_table import checked, look_up, products, signs
from intsim.spec.windows import Windows, windows
from intsim.summation import PLAIN, Summation


def post_conv(
    x: npt.ArrayLike,
    w: npt.ArrayLike,
    *,
    table: npt.ArrayLike,
    low: int,
    x_zero: int = 0,
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
                 + sum over c, k of sgn(w[m, c, k]) * T[|w[m, c, k]|, x[n, c, p * stride + k * dilation] - x_zero]

    x: int[N, C, *spatial]; padding contributes 0. w: codes of POST or POT weights, int[M, C / groups, *kernel]: the
    sign in the most significant bit, the magnitude |w| below it. table, low: the products T[|w|, x - x_zero - low],
    int[2**(bits - 1), values], made by `post_table`. bias: None, int or [M], in units of the accumulator. The rest,
    the result and the errors are as for `conv`, but summation has no offsets: x is always the code less its zero
    point. Source: paper section "POST" of ASQ.
    """
    x, w, rows = as_integers(x, "x"), as_integers(w, "w"), checked(table)
    s = PLAIN if summation is None else summation
    if x.ndim < 3 or w.ndim != x.ndim:
        raise OutOfDomain(f"x and w must have the same rank of at least 3, not shapes {x.shape} and {w.shape}")
    order = tuple(range(w.ndim - 1)) if s.order is None else s.order
    if s.offsets is not None or len(order) != w.ndim - 1:
        raise OutOfDomain(f"summation must have no offsets and an order of {w.ndim - 1} axes, not {s!r}")
    layout = windows(x.shape[2:], w.shape[2:], strides, dilations, pads)
    centred = subtract(x, result(checks.integer(x_zero, *INT64, "x_zero")))
    exact, _ = _by_levels(look_up(centred, rows, low), signs(w, len(rows) - 1), strides, pads, dilations, groups)
    outputs = (1, w.shape[0], *layout.output)
    offset = along(as_integers(0 if bias is None else bias, "bias"), 1, outputs, "bias")
    last = along(as_integers(constant, "constant"), 1, outputs, "constant")
    padded = layout.padded(centred, 0)
    in_order = functools.partial(_products, padded, w, rows, low, layout, groups, order)
    sums = Sums(
        exact.shape,
        [functools.partial(in_order, block) for block in s.blocks(w.shape[1])],
        None,
        offset,
        last,
        lambda: result(exact + offset + last),
        magnitude(rows) * w[:1].size + magnitude(offset) + magnitude(last),
    )
    return accumulate(sums, accumulator_bits, overflow, summation)


def _by_levels(
    x: Integers,
    w: Integers,
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    groups: int,
) -> tuple[Integers, Events]:
    """The exact sums of products: a convolution over one axis more, the levels; a weight has at most one."""
    half = len(pads) // 2
    acc, events = conv(
        x,
        w,
        strides=(*strides, 1),
        pads=(*pads[:half], 0, *pads[half:], 0),
        dilations=(*dilations, 1),
        groups=groups,
        accumulator_bits=64,
        overflow="trap",
    )
    return acc[..., 0], events[..., 0]


def _products(
    x: Integers,
    w: Integers,
    table: Integers,
    low: int,
    layout: Windows,
    groups: int,
    order: tuple[int, ...],
    block: tuple[int, int],
) -> Iterator[Integers]:
    """The products of a pass over the channels of a block, in MAC order, each [N, M, *output]."""
    reads = np.arange(len(w)) // (len(w) // groups) * w.shape[1]
    ranges = [range(*block), *map(range, w.shape[2:])]
    for walked in itertools.product(*(ranges[axis] for axis in order)):
        channel, *position = (walked[order.index(axis)] for axis in range(len(order)))
        tap = layout.tap(x[:, reads + channel], tuple(position))
        weights: tuple[Any, ...] = (slice(None), channel, *position)
        codes = w[weights].reshape(-1, *[1] * len(position))
        yield products(tap, codes, table, low)
