"""Matrix product with POST or POT weights: the raw accumulators of MatMul and Gemm."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import Events, Sums, accumulate, magnitude
from intsim.spec.integers import INT64, Integers, along, as_integers, result, subtract
from intsim.spec.matmul import matmul
from intsim.spec.post_table import checked, look_up, products, signs
from intsim.summation import PLAIN, Summation


def post_matmul(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    table: npt.ArrayLike,
    low: int,
    a_zero: int = 0,
    bias: npt.ArrayLike | None = None,
    accumulator_bits: int,
    overflow: str,
    summation: Summation | None = None,
    constant: npt.ArrayLike = 0,
) -> tuple[Integers, Events]:
    """Accumulators and what could not hold a value on the way to each.

    acc[..., i, j] = bias[j] + constant[j] + sum over k of sgn(b[k, j]) * T[|b[k, j]|, a[..., i, k] - a_zero]

    a: int[..., I, K], or [K]. b: codes of POST or POT weights, int[K, J]: the sign in the most significant bit, the
    magnitude |b| below it. table, low: the products T[|b|, a - a_zero - low], int[2**(bits - 1), values], made by
    `post_table`. bias: None, int or [J], in units of the accumulator. The rest, the result and the errors are as for
    `matmul`, but summation has no offsets: a is always the code less its zero point. Source: paper section "POST" of
    ASQ.
    """
    a, b, rows = as_integers(a, "a"), as_integers(b, "b"), checked(table)
    s = PLAIN if summation is None else summation
    if a.ndim < 1 or b.ndim != 2 or a.shape[-1] != b.shape[0]:
        raise OutOfDomain(f"a and b must be [..., I, K] and [K, J], not of shapes {a.shape} and {b.shape}")
    if s.offsets is not None:
        raise OutOfDomain(f"summation must have no offsets, not {s.offsets!r}")
    centred = subtract(a, result(checks.integer(a_zero, *INT64, "a_zero")))
    left = look_up(centred, rows, low).reshape(*a.shape[:-1], -1)
    right = np.moveaxis(signs(b, len(rows) - 1), -1, 1).reshape(-1, b.shape[1])
    exact, _ = matmul(left, right, accumulator_bits=64, overflow="trap")  # K levels for each k, of which one counts
    shape = (*a.shape[:-1], b.shape[1])
    offset = along(as_integers(0 if bias is None else bias, "bias"), -1, shape, "bias")
    last = along(as_integers(constant, "constant"), -1, shape, "constant")
    sums = Sums(
        shape,
        [functools.partial(_products, centred, b, rows, low, block) for block in s.blocks(len(b))],
        None,
        offset,
        last,
        lambda: result(exact + offset + last),
        magnitude(rows) * len(b) + magnitude(offset) + magnitude(last),
    )
    return accumulate(sums, accumulator_bits, overflow, summation)


def _products(a: Integers, b: Integers, table: Integers, low: int, block: tuple[int, int]) -> Iterator[Integers]:
    """The products of the terms of a block, in order, each [..., I, J]."""
    for k in range(*block):
        yield products(a[..., k, np.newaxis], b[k], table, low)
