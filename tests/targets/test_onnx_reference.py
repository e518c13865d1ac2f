"""ONNX's ReferenceEvaluator judges its requantizer: ties by construction, odd zero points, both dtypes, per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim import spec
from tests.spec.judges import onnx_reference

F32 = np.float32


def requantized(acc: Any, scales: Any, zero: Any, axis: int) -> Any:
    x_scale, w_scale, y_scale = scales
    return spec.requantize_onnx_reference(
        acc,
        multiplier=(x_scale * w_scale) / y_scale,
        zero_point=int(zero),
        bits=8,
        signed=zero.dtype == np.int8,
        axis=axis,
    )


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_qlinear_conv(dtype: Any, per_channel: bool, tie: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    x = rng.integers(low, high, (2, 3, 9, 9), dtype=dtype, endpoint=True)
    w = rng.integers(-128, 127, (8, 3, 1, 1), dtype=np.int8, endpoint=True)
    bias = rng.integers(-(2**12), 2**12, 8).astype(np.int32)
    count = 8 if per_channel else 1
    w_scale = (2.0 ** rng.integers(-6, -3, count) if tie else rng.uniform(0.001, 0.1, count)).astype(F32)
    x_scale, y_scale = (F32(0.5), F32(4)) if tie else (F32(rng.uniform(0.001, 0.1)), F32(rng.uniform(0.01, 1)))
    x_zero, y_zero = dtype(rng.integers(low, high)), dtype(rng.integers(low, high) | 1)
    scale = w_scale if per_channel else w_scale[0]
    got = onnx_reference(
        "QLinearConv", [x, x_scale, x_zero, w, scale, np.zeros_like(scale, np.int8), y_scale, y_zero, bias]
    )
    acc = np.einsum("nchw,oc->nohw", x.astype(np.int64) - int(x_zero), w[:, :, 0, 0].astype(np.int64))
    expected = requantized(acc + bias[:, None, None], (x_scale, w_scale, y_scale), y_zero, axis=1)
    assert got.dtype == dtype
    assert np.array_equal(got, expected)
    if tie:  # the rule that adds the zero point after the rounding is another one
        after = spec.requantize_float32(
            acc + bias[:, None, None],
            multiplier=(x_scale * w_scale) / y_scale,
            zero_point=int(y_zero),
            bits=8,
            signed=dtype == np.int8,
        )
        assert (after != expected).any()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("seed", range(3))
def test_qlinear_matmul(dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    a, b = (rng.integers(low, high, shape, dtype=dtype, endpoint=True) for shape in ((40, 16), (16, 30)))
    scales = (F32(rng.uniform(0.001, 0.1)), F32(rng.uniform(0.001, 0.1)), F32(rng.uniform(0.1, 3)))
    zeros = [dtype(rng.integers(low, high) | 1) for _ in range(3)]
    got = onnx_reference("QLinearMatMul", [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]])
    acc = (a.astype(np.int64) - int(zeros[0])) @ (b.astype(np.int64) - int(zeros[1]))
    assert np.array_equal(got, requantized(acc, scales, zeros[2], axis=-1))
