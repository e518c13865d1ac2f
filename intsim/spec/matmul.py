"""Matrix product: the raw accumulators of MatMul and Gemm."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import Events, Sums, accumulate, carrier, largest_sum, magnitude
from intsim.spec.integers import INT64, Integers, along, as_integers, multiply, result, subtract
from intsim.summation import PLAIN, Summation


def matmul(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_zero: int = 0,
    b_zero: npt.ArrayLike = 0,
    bias: npt.ArrayLike | None = None,
    accumulator_bits: int,
    overflow: str,
    summation: Summation | None = None,
    constant: npt.ArrayLike = 0,
) -> tuple[Integers, Events]:
    """Accumulators and what could not hold a value on the way to each.

    acc[..., i, j] = bias[j] + constant[j] + sum over k of (a[..., i, k] - a_zero) * (b[..., k, j] - b_zero[j])

    a: int[..., I, K], b: int[..., K, J]; leading axes broadcast, 1-D operands as in numpy.matmul. b_zero, bias,
    constant: int or [J] (bias may be None), in units of the accumulator. accumulator_bits: 1 to 64, signed; overflow,
    summation, constant: as for `conv`, with the terms k as the channels.
    Returns i64[..., I, J] and u8 of that shape: the bits of intsim.summation.EVENTS. Raises OutOfDomain,
    AccumulatorOverflow. Source: paper section "DiffQuant", (19); ONNX's MatMul.
    """
    a, b = as_integers(a, "a"), as_integers(b, "b")
    if a.ndim < 1 or b.ndim < 1 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise OutOfDomain(f"a and b must agree in their inner length, not shapes {a.shape} and {b.shape}")
    # a 1-D operand gets the axis that numpy.matmul gives it for the product, and takes away afterwards
    extra = tuple(axis for axis, operand in ((-2, a), (-1, b)) if operand.ndim == 1)
    left = a[np.newaxis, :] if a.ndim == 1 else a
    right = b[:, np.newaxis] if b.ndim == 1 else b
    try:
        batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    except ValueError:
        raise OutOfDomain(f"a and b must broadcast, not shapes {a.shape} and {b.shape}") from None
    shape = (*batch, left.shape[-2], right.shape[-1])
    s = PLAIN if summation is None else summation
    a_zeros = result(checks.integer(a_zero, *INT64, "a_zero"))
    b_zeros = checks.channelwise(b_zero, -1, right.shape, *INT64, "b_zero")
    offset = along(as_integers(0 if bias is None else bias, "bias"), -1, shape, "bias")
    last = along(as_integers(constant, "constant"), -1, shape, "constant")
    centred = subtract(left, a_zeros), subtract(right, b_zeros)
    factors = centred
    if s.offsets is not None:
        factors = subtract(left, result(s.offsets[0])), subtract(right, result(s.offsets[1]))
    products = max(magnitude(p) * largest_sum(q, (-2,)) for p, q in (factors, centred))
    largest = products * (1 if s.offsets is None else 3) + magnitude(offset) + magnitude(last)

    def exact(p: Integers, q: Integers) -> Integers:
        dtype = carrier(largest)
        acc = p.astype(dtype) @ q.astype(dtype)
        return acc.astype(np.int64) if dtype == np.float64 else acc

    sums = Sums(
        shape,
        [functools.partial(_products, factors[0], factors[1], block) for block in s.blocks(left.shape[-1])],
        None if s.offsets is None else subtract(exact(*centred), exact(*factors)),
        offset,
        last,
        lambda: result(exact(*centred) + offset + last),
        largest,
    )
    acc, events = accumulate(sums, accumulator_bits, overflow, summation)
    return acc.squeeze(extra), events.squeeze(extra)


def _products(a: Integers, b: Integers, block: tuple[int, int]) -> Iterator[Integers]:
    """The products of the terms of a block, in order, each [..., I, J]."""
    for k in range(*block):
        yield multiply(a[..., :, k, np.newaxis], b[..., k, np.newaxis, :])
