"""Matrix product: the raw accumulators of MatMul and Gemm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks
from intsim.spec.accumulate import Booleans, accumulate, carrier, largest_sum, magnitude
from intsim.spec.integers import INT64, Integers, along, as_integers, multiply, result, subtract


def matmul(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    a_zero: int = 0,
    b_zero: npt.ArrayLike = 0,
    bias: npt.ArrayLike | None = None,
    accumulator_bits: int,
    overflow: str,
) -> tuple[Integers, Booleans]:
    """Accumulators and where they overflowed.

    acc[..., i, j] = bias[j] + sum over k of (a[..., i, k] - a_zero) * (b[..., k, j] - b_zero[j])

    a: int[..., I, K], b: int[..., K, J]; leading axes broadcast, 1-D operands as in numpy.matmul. b_zero, bias: int
    or [J] (bias may be None), in units of the accumulator. accumulator_bits: 1 to 64, signed; overflow: `wrap`
    (modulo 2**bits), `saturate` (clamped after each addition, k ascending, bias last), `trap` (AccumulatorOverflow
    if the exact sum does not fit).
    Returns i64[..., I, J] and bool of that shape: where the exact sum was outside (wrap) or an addition was clamped
    (saturate). Raises OutOfDomain, AccumulatorOverflow. Source: paper section "DiffQuant", (19); ONNX's MatMul.
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
    left = subtract(left, result(checks.integer(a_zero, *INT64, "a_zero")))
    right = subtract(right, checks.channelwise(b_zero, -1, right.shape, *INT64, "b_zero"))
    offset = along(as_integers(0 if bias is None else bias, "bias"), -1, shape, "bias")
    largest = magnitude(left) * largest_sum(right, (-2,)) + magnitude(offset)

    def total() -> Integers:
        dtype = carrier(largest)
        acc = left.astype(dtype) @ right.astype(dtype)
        return result((acc.astype(np.int64) if dtype == np.float64 else acc) + offset)

    def addends() -> Iterator[Integers]:
        yield result(np.zeros(shape, np.int64))
        for k in range(left.shape[-1]):
            yield multiply(left[..., :, k, np.newaxis], right[..., k, np.newaxis, :])
        yield offset

    acc, overflowed = accumulate(total, addends, largest, accumulator_bits, overflow)
    return acc.squeeze(extra), overflowed.squeeze(extra)
