"""Convolution: the raw accumulators, 1-D, 2-D or of any rank, with groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import Booleans, accumulate, carrier, largest_sum, magnitude
from intsim.spec.integers import INT64, Integers, along, as_integers, multiply, result, subtract
from intsim.spec.windows import LONGEST, Windows, windows


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
) -> tuple[Integers, Booleans]:
    """Accumulators and where they overflowed.

    acc[n, m, p] = bias[m] + sum over c, k of (x[n, c, p * stride + k * dilation] - x_zero) * (w[m, c, k] - w_zero[m])

    x: int[N, C, *spatial]; padding supplies x_zero (so it contributes 0). w: int[M, C / groups, *kernel]; output
    channel m reads the input channels of group m // (M / groups). w_zero: int or [M]; bias: None, int or [M], in
    units of the accumulator. pads: before each spatial axis, then after each.
    accumulator_bits: 1 to 64, signed; overflow: `wrap` (modulo 2**bits), `saturate` (clamped after each addition,
    in MAC order: channel, row, column, bias last), `trap` (AccumulatorOverflow if the exact sum does not fit).
    Returns i64[N, M, *output] and bool of that shape: where the exact sum was outside (wrap) or an addition was
    clamped (saturate). Raises OutOfDomain, AccumulatorOverflow.
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
    x = subtract(x, result(checks.integer(x_zero, *INT64, "x_zero")))
    w = subtract(w, checks.channelwise(w_zero, 0, w.shape, *INT64, "w_zero"))
    padded = layout.padded(x, 0)
    offset = along(as_integers(0 if bias is None else bias, "bias"), 1, outputs, "bias")
    largest = magnitude(x) * largest_sum(w, tuple(range(1, w.ndim))) + magnitude(offset)

    def total() -> Integers:
        return result(_sum(padded, w, layout, groups, carrier(largest)) + offset)

    def addends() -> Iterator[Integers]:
        yield from _products(padded, w, layout, groups)
        yield offset

    return accumulate(total, addends, largest, accumulator_bits, overflow)


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


def _products(x: Integers, w: Integers, layout: Windows, groups: int) -> Iterator[Integers]:
    """The products in MAC order, each [N, M, *output]: channel by channel, row by row, column by column."""
    reads = np.arange(len(w)) // (len(w) // groups) * w.shape[1]
    for channel in range(w.shape[1]):
        for position, tap in layout.taps(x[:, reads + channel]):
            weights: tuple[Any, ...] = (slice(None), channel, *position)
            yield multiply(tap, w[weights].reshape(-1, *[1] * len(position)))
