"""What scales and shifts a sum before it is quantized goes into weights and bias, but where floats have islands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

import intsim
from intsim.errors import UnsupportedOp
from tests.importers.onnx.models import ModelWriter, f32

Array = np.ndarray[Any, Any]
Chain = Callable[[ModelWriter, str], str]

RANDOM = np.random.default_rng(3)
CHANNELS = 4
WEIGHTS = RANDOM.integers(-127, 128, (CHANNELS, 3, 3, 3))
X = RANDOM.integers(0, 256, (5, 3, 8, 8)).astype(np.uint8)
FACTORS, SHIFTS = f32([0.5, -2.0, 0.0, 1.0]), f32([3.0, -1.5, 2.0, 0.25])
MEAN, VARIANCE = f32([1.0, -2.0, 0.5, 0.0]), f32([0.25, 1.0, 4.0, 0.5])


def conv_model(chain: Chain, weights: Array = WEIGHTS, bias: Array | None = None, scale: Any = 2.0**-7) -> ModelProto:
    """x u8 -> Conv -> chain -> QuantizeLinear (2**-1, zero point 100), weights in s8."""
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3, 8, 8]), 0.125, 128, output="x_q")
    operands = [x, w.dequantized(weights, scale, name="w")]
    if bias is not None:
        operands.append(w.constant(f32(bias), "b"))
    conv = w.node("Conv", *operands, output="conv", pads=[1, 1, 1, 1])
    return w.model(w.quantized(chain(w, conv), 0.5, 100, output="y_q"))


def along(values: Array) -> Array:
    return f32(values).reshape(-1, 1, 1)


def batch_norm(w: ModelWriter, x: str) -> str:
    """Behind a Div by what it multiplies by, as PyTorch's fused modules are exported: the factor is one."""
    divisor = w.constant(along(SCALE / np.sqrt(VARIANCE + EPSILON)))
    return w.node(
        "BatchNormalization", w.node("Div", x, divisor), *(w.constant(v) for v in (SCALE, SHIFTS, MEAN, VARIANCE))
    )


SCALE, EPSILON = f32([1.1, 0.3, 7.0, 2.3]), np.float32(1e-5)
UNFOLDED_BIAS = SHIFTS - MEAN.astype(np.float64) * SCALE / np.sqrt(VARIANCE.astype(np.float64) + EPSILON)


def codes(model: ModelProto, target: str = "tflite", x: Array = X) -> Array:
    loaded = intsim.load(model, target=target)
    ours, spec = (loaded.run({"x": x}, taps=["codes"], engine=name).taps["y_q"].codes for name in ("kernels", "spec"))
    assert ours is not None
    assert spec is not None
    np.testing.assert_array_equal(ours, spec)
    return ours


@pytest.mark.parametrize("target", ["tflite", "xnnpack", "tosa", "cmsis-nn", "pulp"])
def test_a_batch_norm_that_undoes_a_division_leaves_the_weights_alone(target: str) -> None:
    folded = codes(conv_model(lambda w, x: w.node("Relu", batch_norm(w, x))), target)
    plain = codes(conv_model(lambda w, x: w.node("Relu", x), bias=UNFOLDED_BIAS), target)
    np.testing.assert_array_equal(folded, plain)
    assert np.unique(folded).size > 50


def scaled(w: ModelWriter, x: str) -> str:
    return w.node("Add", w.node("Mul", w.constant(along(FACTORS)), x), w.constant(along(SHIFTS)))


def test_factors_of_either_sign_and_zero_on_shared_exponents() -> None:
    """Against the sum in integers: y = floor((A * acc + B) / 2**-1 + 1/2), all of it powers of two."""
    w = ModelWriter()
    kind = TensorProto.INT8
    x = w.quantized(w.input("x", ["N", 3, 8, 8]), 0.125, 0, kind, output="x_q")
    conv = w.node("Conv", x, w.dequantized(WEIGHTS, 2.0**-7, name="w"), output="conv", pads=[1, 1, 1, 1])
    model = w.model(w.quantized(scaled(w, conv), 0.5, 0, kind, output="y_q"))
    signed = (X.astype(np.int64) - 128).astype(np.int8)
    found = codes(model, "diffquant", signed)
    padded = np.pad(signed.astype(np.int64), [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows, WEIGHTS)
    exact = along(FACTORS).astype(np.float64) * sums * 2.0**-10 + along(SHIFTS).astype(np.float64)
    expected = np.clip(np.floor(exact * 2 + 0.5), -128, 127).astype(np.int8)
    np.testing.assert_array_equal(found, expected)
    assert np.unique(found[:, 2]).tolist() == [4]
    assert all(np.unique(found[:, channel]).size > 15 for channel in (0, 1, 3))


@pytest.mark.parametrize(
    ("chain", "factor", "shift"),
    [
        (lambda w, x: w.node("Sub", x, w.constant(along(SHIFTS))), 1, -SHIFTS),
        (lambda w, x: w.node("Sub", w.constant(along(SHIFTS)), x), -1, SHIFTS),
        (lambda w, x: w.node("Div", x, w.constant(f32(0.5))), 2, 0 * SHIFTS),
        (lambda w, x: w.node("Add", w.constant(f32([[[[1.5]]]])), x), 1, 0 * SHIFTS + 1.5),
    ],
)
def test_each_op(chain: Chain, factor: float, shift: Array) -> None:
    """The same layer written with other weights and a bias."""
    bias = f32([1.0, -2.0, 0.5, 0.25])
    plain = conv_model(
        lambda w, x: x,
        weights=WEIGHTS * int(np.sign(factor)),
        bias=factor * bias + shift,
        scale=abs(factor) * 2.0**-7,
    )
    np.testing.assert_array_equal(codes(conv_model(chain, bias=bias)), codes(plain))


def test_weights_per_channel_with_zero_points_are_turned_around_them() -> None:
    zeros, scale = np.array([3, 0, -4, 1]), 2.0 ** np.array([-7, -6, -8, -7])
    weights = RANDOM.integers(-100, 101, WEIGHTS.shape)

    def model(turned: bool) -> ModelProto:
        w = ModelWriter()
        x = w.quantized(w.input("x", ["N", 3, 8, 8]), 0.125, 128, output="x_q")
        around = zeros.reshape(-1, 1, 1, 1)
        kernel = w.dequantized(2 * around - weights if turned else weights, scale, zeros, name="w")
        conv = w.node("Conv", x, kernel, output="conv")
        return w.model(
            w.quantized(conv if turned else w.node("Mul", conv, w.constant(f32(-1))), 0.5, 100, output="y_q")
        )

    np.testing.assert_array_equal(codes(model(turned=False)), codes(model(turned=True)))


def test_a_bias_behind_a_matmul() -> None:
    """How PyTorch exports a Linear on tensors of rank 3."""
    weights, bias = RANDOM.integers(-127, 128, (6, 5)), f32(RANDOM.normal(0, 3, 5))

    def model(rank: int) -> ModelProto:
        w = ModelWriter()
        x = w.quantized(w.input("x", ["N", 7, 6] if rank == 3 else ["N", 6]), 0.125, 128, output="x_q")
        kernel, constant = w.dequantized(weights, 0.01, name="w"), w.constant(bias)
        y = w.node("Add", w.node("MatMul", x, kernel), constant) if rank == 3 else w.node("Gemm", x, kernel, constant)
        return w.model(w.quantized(y, 0.5, 100, output="y_q"))

    x = RANDOM.integers(0, 256, (4, 7, 6)).astype(np.uint8)
    rows = codes(model(2), x=x.reshape(-1, 6))
    np.testing.assert_array_equal(codes(model(3), x=x).reshape(-1, 5), rows)


def test_the_layer_says_what_was_folded_and_the_file_is_what_it_was() -> None:
    loaded = intsim.load(conv_model(batch_norm), target="tflite")
    (conv,) = [layer for layer in loaded.lowered.layers if layer.op == "conv"]
    assert conv.note == "Div, BatchNormalization folded into its weights and bias"
    (node,) = [n for n in loaded.lowered.graph.nodes if n.op == "Conv"]
    (divided, normalized) = [n for n in loaded.graph.nodes if n.op in ("Div", "BatchNormalization")]
    assert {"node_conv", divided.name, normalized.name} <= set(node.sources)
    assert node.outputs == normalized.outputs


def test_a_target_with_float_islands_computes_the_file_as_written() -> None:
    lowered = intsim.load(conv_model(batch_norm), target="onnxruntime").lowered
    assert {"Div", "BatchNormalization"} <= {n.op for n in lowered.graph.nodes}


def read_twice(w: ModelWriter, x: str) -> str:
    return w.node("Add", w.node("Mul", x, w.constant(f32(2))), x)


@pytest.mark.parametrize(
    ("chain", "weights"),
    [
        (lambda w, x: w.node("Mul", x, w.constant(f32(RANDOM.normal(0, 1, (8, 8))))), WEIGHTS),
        (lambda w, x: w.node("Div", w.constant(along(SHIFTS)), x), WEIGHTS),
        (lambda w, x: w.node("Div", x, w.constant(along(FACTORS))), WEIGHTS),
        (lambda w, x: w.node("Mul", x, w.constant(f32(-1))), np.minimum(WEIGHTS, -128)),
        (lambda w, x: w.node("Mul", w.node("Relu", x), w.constant(f32(2))), WEIGHTS),
        (lambda w, x: w.node("Mul", x, w.constant(f32(1e38))), 0 * WEIGHTS + 1),
        (read_twice, WEIGHTS),
    ],
    ids=["a factor per pixel", "a quotient", "by zero", "no code for 128", "after a Relu", "too large", "read twice"],
)
def test_what_cannot_be_folded_is_refused_by_name(chain: Chain, weights: Array) -> None:
    scale = 2.0**20 if weights.max() == weights.min() == 1 else 2.0**-7
    with pytest.raises(UnsupportedOp, match=r"node 'node_conv' \(Conv\) breaks the integer chain: tensor '\w+' is not"):
        intsim.load(conv_model(chain, weights, scale=scale), target="tflite")
