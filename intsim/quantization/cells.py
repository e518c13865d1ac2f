"""Cells: a tensor counted on a fine dyadic grid, from which the errors of every coarser exponent follow exactly.

A code is clip(half_up(r / 2**e)), and half_up(r / 2**e) = (floor(r / 2**(e-1)) + 1) >> 1: it depends only on the
cell of width 2**g, g < e, in which r lies. So one pass over a tensor of millions of numbers serves all candidate
exponents, and the rest is arithmetic on cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CHUNK = 1 << 16
"""Numbers counted at a time: what stays in the processor's cache."""


@dataclass(frozen=True)
class Cells:
    """Where a tensor's numbers lie, in cells [k, k + 1) * 2**grid; only cells that are not empty.

    index: k, int64[cells], ascending. count: numbers in the cell, float64 (exact). rest: their sum of
    r / 2**grid - k, float64. square: the sum of the squares of that over all cells.
    """

    grid: int
    index: Array
    count: Array
    rest: Array
    square: float


@dataclass(frozen=True)
class Moments:
    """Sums over a tensor's numbers r and their quantized values q = code * 2**e; they add up over batches.

    count; squared_error: sum (r - q)**2; r, q, rr, rq, qq: sums of r, q and their products.
    """

    count: float = 0.0
    squared_error: float = 0.0
    r: float = 0.0
    q: float = 0.0
    rr: float = 0.0
    rq: float = 0.0
    qq: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def count_cells(reals: Array, grid: int, largest: float) -> Cells:
    """The Cells of float32[...] reals whose largest magnitude is `largest`, on the grid 2**grid."""
    flat = np.ascontiguousarray(reals).reshape(-1)
    half = int(np.ldexp(largest, -grid)) + 1
    chunk = max(CHUNK, 2 * half)
    count, rest, square = np.zeros(2 * half, np.int64), np.zeros(2 * half), 0.0
    for start in range(0, flat.size, chunk):
        inside = np.ldexp(flat[start : start + chunk].astype(np.float64), -grid)
        cell = np.floor(inside)
        inside -= cell
        position = cell.astype(np.int64) + half
        count += np.bincount(position, minlength=2 * half)
        rest += np.bincount(position, weights=inside, minlength=2 * half)
        square += float(np.dot(inside, inside))
    used = np.flatnonzero(count)
    return Cells(grid, used - half, count[used].astype(np.float64), rest[used], square)


def codes(cells: Cells, exponent: int, bits: int) -> Array:
    """The code at `exponent` of the numbers in each cell: clip(half_up(r / 2**exponent)), int64[cells].

    exponent > cells.grid.
    """
    high = (1 << (bits - 1)) - 1
    rounded = ((cells.index >> (exponent - cells.grid - 1)) + 1) >> 1
    return np.clip(rounded, -high - 1, high)


def moments(cells: Cells, exponent: int, bits: int) -> Moments:
    """The Moments of the tensor quantized at `exponent` (above cells.grid).

    With r = (k + u) * 2**g and q = c * 2**g: (r - q)**2 = (u**2 + 2 u (k - c) + (k - c)**2) * 4**g.
    """
    k, n, u = cells.index.astype(np.float64), cells.count, cells.rest
    c = np.ldexp(codes(cells, exponent, bits).astype(np.float64), exponent - cells.grid)
    error = cells.square + float(np.sum((2.0 * u + n * (k - c)) * (k - c)))
    r = k * n + u
    sums = np.array(
        [np.sum(r), np.sum(n * c), cells.square + np.sum((2.0 * u + n * k) * k), np.sum(r * c), np.sum(n * c * c)]
    )
    linear, quadratic = np.ldexp(sums[:2], cells.grid), np.ldexp(sums[2:], 2 * cells.grid)
    return Moments(
        float(np.sum(n)), float(np.ldexp(max(error, 0.0), 2 * cells.grid)), *linear.tolist(), *quadratic.tolist()
    )


@dataclass(frozen=True)
class Bins:
    """2**bits bins of the width 2**width; bin i begins at (first + i) * 2**width."""

    bits: int
    width: int
    first: int


def find_bins(lowest: float, highest: float, bits: int, grid: int) -> Bins:
    """The narrowest Bins, a power of two and not below 2**grid wide, that span zero and lowest … highest."""
    width = grid
    while True:
        first, last = (math.floor(math.ldexp(v, -width)) for v in (min(lowest, 0.0), max(highest, 0.0)))
        if last - first < 1 << bits:
            return Bins(bits, width, first)
        width += 1


def own_histogram(cells: Cells, bins: Bins) -> Array:
    """How many of the tensor's own numbers lie in each bin, float64[2**bits]; cells.grid <= bins.width."""
    return _binned(cells.index >> (bins.width - cells.grid), cells.count, bins)


def quantized_histogram(cells: Cells, exponent: int, bins: Bins, bits: int) -> Array:
    """How many lie in each bin once they are quantized at `exponent`; beyond the ends counts in the bin there."""
    code, step = codes(cells, exponent, bits), exponent - bins.width
    return _binned(code << step if step >= 0 else code >> -step, cells.count, bins)


def _binned(index: Array, weights: Array, bins: Bins) -> Array:
    inside = np.clip(index - bins.first, 0, (1 << bins.bits) - 1)
    return np.bincount(inside, weights=weights, minlength=1 << bins.bits)
