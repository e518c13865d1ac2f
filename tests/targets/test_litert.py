"""LiteRT judges the requantizers of TFLite and XNNPACK: one-op models with chosen scales, tolerance zero."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.lowering.multipliers import tflite
from tests.targets.litert_models import (
    Array,
    OneOp,
    Tensor,
    conv_2d,
    depthwise_conv_2d,
    fully_connected,
    quantize,
    run,
)

pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64" or os.name != "posix", reason="LiteRT on x86-64")

F32 = np.float32
REFERENCE, XNNPACK = "BUILTIN_REF", "AUTO"


def real_multiplier(x_scale: np.float32, w_scale: np.float32, y_scale: np.float32) -> float:
    """TFLite's of one channel: in float64, left to right (kernel_util.cc, PopulateConvolutionQuantizationParams)."""
    return float(np.float64(x_scale) * np.float64(w_scale) / np.float64(y_scale))


def float32_multiplier(x_scale: np.float32, w_scale: np.float32, y_scale: np.float32) -> np.float32:
    """XNNPACK's: float32 at each step (src/operators/convolution-nhwc.c)."""
    return F32(F32(F32(x_scale) * F32(w_scale)) / F32(y_scale))


class Layer:
    """A random int8 layer whose accumulators reach from small values to `reach`: codes, sums, scales, zero points."""

    def __init__(self, seed: int, kind: str, reach: int, ratio: float) -> None:
        rng = np.random.default_rng(seed)
        n, self.channels = 3000, 12
        inputs = self.channels if kind == "depthwise" else 8
        self.x = rng.integers(-128, 128, (1, n, 1, inputs)).astype(np.int8)
        shape = {"conv": (12, 1, 1, inputs), "depthwise": (1, 1, 1, 12), "dense": (12, inputs)}[kind]
        self.w = rng.integers(-127, 128, shape).astype(np.int8)
        self.bias = rng.integers(-reach, reach, self.channels).astype(np.int32)
        self.x_scale, self.x_zero, self.y_zero = F32(rng.uniform(0.001, 0.1)), int(rng.integers(-128, 128)), -13
        per_channel = 1 if kind == "dense" else self.channels
        self.w_scale = rng.uniform(0.001, 0.02, per_channel).astype(F32)
        self.y_scale = F32(self.x_scale * self.w_scale[0] / ratio)
        x = self.x.astype(np.int64) - self.x_zero
        weights = self.w.astype(np.int64)
        products = x * weights if kind == "depthwise" else x @ weights.reshape(12, inputs).T
        self.acc = (products.reshape(n, 12) + self.bias).astype(np.int32)
        self.op = self._op(kind, n)

    def _op(self, kind: str, n: int) -> OneOp:
        rank4 = kind != "dense"
        axis = 3 if kind == "depthwise" else 0
        x = Tensor(self.x.shape if rank4 else (n, 8), scale=[self.x_scale], zero_point=[self.x_zero])
        w = Tensor(self.w.shape, scale=self.w_scale.tolist(), data=self.w, axis=axis)
        bias = Tensor((12,), np.int32, (self.x_scale * self.w_scale).tolist(), data=self.bias)
        y = Tensor((1, n, 1, 12) if rank4 else (n, 12), scale=[self.y_scale], zero_point=[self.y_zero])
        return {"conv": conv_2d, "depthwise": depthwise_conv_2d, "dense": fully_connected}[kind](x, w, bias, y)

    def run(self, kernels: str) -> Array:
        x = self.x if self.op.builtin != "FULLY_CONNECTED" else self.x.reshape(-1, 8)
        return run(self.op, kernels, x).reshape(self.acc.shape)

    def multipliers(self) -> dict[str, list[int]]:
        """TFLite's of each channel."""
        real = [real_multiplier(self.x_scale, w, self.y_scale) for w in self.w_scale]
        pairs = [tflite.quantize_multiplier(r) for r in real]
        return {"multiplier": [m for m, _ in pairs], "shift": [s for _, s in pairs]}

    def xnnpack(self) -> Array:
        """XNNPACK's of each channel."""
        return np.array([float32_multiplier(self.x_scale, w, self.y_scale) for w in self.w_scale])

    def spec(self, op: str, **given: Any) -> Array:
        return np.asarray(getattr(spec, op)(self.acc, **given, zero_point=self.y_zero, bits=8, signed=True, axis=1))


CASES = [
    (0, 2**13, 0.003),
    (1, 2**18, 0.0002),
    (2, 2**10, 0.06),
    (3, 2**14, 2.0**-8),
    (4, 2**8, 0.9),
    (5, 2**20, 2.0**-12),
]


@pytest.mark.parametrize("kind", ["conv", "depthwise"])
@pytest.mark.parametrize(("seed", "reach", "ratio"), CASES)
def test_convolutions(kind: str, seed: int, reach: int, ratio: float) -> None:
    layer = Layer(seed, kind, reach, ratio)
    assert np.array_equal(layer.run(REFERENCE), layer.spec("requantize_tflite", **layer.multipliers()))
    assert np.array_equal(layer.run(XNNPACK), layer.spec("requantize_xnnpack_fp32", multiplier=layer.xnnpack()))


def test_the_two_kernel_sets_are_told_apart() -> None:
    """So a judge that runs the wrong set would be noticed."""
    layers = [Layer(seed, "conv", reach, ratio) for seed, reach, ratio in CASES]
    different = [
        (layer.spec("requantize_tflite", **layer.multipliers()) != layer.run(XNNPACK)).sum() for layer in layers
    ]
    assert sum(different) > 0


def test_a_left_shift_beyond_int32_wraps() -> None:
    """Multipliers above one and accumulators up to 2**30: acc << shift leaves int32."""
    layer = Layer(7, "conv", 2**30, 11.3)
    given = layer.multipliers()
    assert (layer.acc.astype(np.int64) << np.maximum(given["shift"], 0) >= 2**31).any()
    assert np.array_equal(layer.run(REFERENCE), layer.spec("requantize_tflite", **given))


@pytest.mark.parametrize(("seed", "reach", "ratio"), CASES)
def test_fully_connected(seed: int, reach: int, ratio: float) -> None:
    """The reference kernel rounds a float64 product half away from zero; its factor is float64 throughout.

    Two cases have a power of two as the ratio after a float32 product, so that every tie tells the orders apart.
    """
    layer = Layer(seed, "dense", reach, ratio)
    real = real_multiplier(layer.x_scale, layer.w_scale[0], layer.y_scale)
    assert np.array_equal(layer.run(REFERENCE), layer.spec("requantize_tflite_float64", multiplier=real))
    assert np.array_equal(layer.run(XNNPACK), layer.spec("requantize_xnnpack_fp32", multiplier=layer.xnnpack()))


@pytest.mark.parametrize(("reach", "ratio"), [(2**24, 2.0**-9), (2**31, 2.0**-16), (2**40, 2.0**-25), (2**22, 0.003)])
def test_convolutions_of_16_bit_activations(reach: int, ratio: float) -> None:
    """Accumulators of 64 bits: TFLite reduces the multiplier to 15 bits."""
    rng = np.random.default_rng(reach)
    n, inputs, channels = 3000, 8, 12
    x = rng.integers(-32768, 32768, (1, n, 1, inputs)).astype(np.int16)
    w = rng.integers(-127, 128, (channels, 1, 1, inputs)).astype(np.int8)
    bias = rng.integers(-reach, reach, channels)
    x_scale, w_scale = F32(rng.uniform(1e-5, 1e-3)), rng.uniform(0.001, 0.02, channels).astype(F32)
    y_scale = F32(x_scale * w_scale[0] / ratio)
    model = conv_2d(
        Tensor(x.shape, np.int16, [x_scale], [0]),
        Tensor(w.shape, scale=w_scale.tolist(), data=w),
        Tensor((channels,), np.int64, (x_scale * w_scale).tolist(), data=bias),
        Tensor((1, n, 1, channels), np.int16, [y_scale], [0]),
    )
    pairs = [tflite.quantize_multiplier(real_multiplier(x_scale, s, y_scale)) for s in w_scale]
    acc = (x.astype(np.int64) @ w.reshape(channels, inputs).T.astype(np.int64)).reshape(n, channels) + bias
    expected = spec.requantize_tflite_int64(
        acc, multiplier=[m for m, _ in pairs], shift=[s for _, s in pairs], bits=16, signed=True
    )
    assert np.array_equal(run(model, REFERENCE, x).reshape(n, channels), expected)


@pytest.mark.parametrize("ratio", [0.31, 0.5, 0.9999, 1.0, 1.7, 3.999])
@pytest.mark.parametrize("zeros", [(0, 0), (5, -3), (-128, 127)])
def test_quantize_of_codes(ratio: float, zeros: tuple[int, int]) -> None:
    x = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    x_scale = F32(0.0173)
    y_scale = F32(x_scale / F32(ratio))
    model = quantize(
        Tensor(x.shape, scale=[x_scale], zero_point=[zeros[0]]), Tensor(x.shape, scale=[y_scale], zero_point=[zeros[1]])
    )
    multiplier, shift = tflite.quantize_multiplier(float(np.float64(x_scale) / np.float64(y_scale)))
    expected = spec.requantize_tflite(
        x.astype(np.int64) - zeros[0], multiplier=multiplier, shift=shift, zero_point=zeros[1], bits=8, signed=True
    )
    assert np.array_equal(run(model, REFERENCE, x), expected)


def test_a_refused_model_is_an_error_of_the_child() -> None:
    x = Tensor((1, 4), scale=[1.0])
    with pytest.raises(ChildProcessError, match="LiteRT ended with"):
        run(OneOp("CONV_2D", (x,), x), REFERENCE, np.zeros((1, 4), np.int8))
