"""Matrix product with POST or POT weights: sums of looked-up products in an accumulator of a declared width."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all
from intsim.kernels.post_conv import post_conv


def post_matmul(
    a: Array,
    b: Array,
    *,
    table: Array,
    low: int,
    a_zero: int = 0,
    bias: Array | None = None,
    accumulator_bits: int,
    overflow: str,
    summation: Any = None,
    constant: Any = 0,
    check: bool = True,
    accumulate: str = "int64",
    pool: Sharing = run_all,
) -> tuple[Array, Array | None]:
    """The accumulators i32|i64[..., M, N], and what could not hold a value, u8 of that shape (None without check).

    acc[..., m, n] = bias[n] + constant[n] + sum over k of sgn(b[k, n]) * T[|b[k, n]|, a[..., m, k] - a_zero]
    a: integers [..., M, K], or [K]. b: codes [K, N]. The other arguments and errors are as for `post_conv`: it is the
    convolution with a kernel of one point over a line of M pixels; the order of the sum is k, then the bias.
    """
    if b.ndim != 2 or a.shape[-1] != b.shape[0]:
        raise ValueError(f"a and b must be [..., M, K] and [K, N], not of shapes {a.shape} and {b.shape}")
    lines = a.reshape(-1, a.shape[-1])
    acc, over = post_conv(
        np.ascontiguousarray(lines.T)[None],
        np.ascontiguousarray(b.T)[:, :, None],
        table=table,
        low=low,
        x_zero=a_zero,
        bias=bias,
        strides=(1,),
        pads=(0, 0),
        dilations=(1,),
        groups=1,
        accumulator_bits=accumulator_bits,
        overflow=overflow,
        summation=None if summation is None else replace(summation, order=None),
        constant=constant,
        check=check,
        accumulate=accumulate,
        pool=pool,
    )
    shape = (*a.shape[:-1], b.shape[1])
    result = np.ascontiguousarray(acc[0].T).reshape(shape)
    return result, None if over is None else np.ascontiguousarray(over[0].T).reshape(shape)
