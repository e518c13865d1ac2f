"""Tiny float graphs, one for each op and each corner of its attributes, a few hundred values large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tests.models.builder import Builder

CHANNELS = 4
IMAGE = (CHANNELS, 7, 6)
SIGNAL = (CHANNELS, 24)


@dataclass(frozen=True)
class Small:
    """How one graph is built: `build` adds nodes to the value it is given and returns the name of the output."""

    build: Callable[[Builder, str], str]
    shape: tuple[int, ...] = IMAGE  # of one input, without the batch axis
    opset: int = 17


def small(name: str, seed: int = 0, opset: int | None = None) -> onnx.ModelProto:
    """The float model of that name in GRAPHS: input `x` f32[batch, …], output `y`. opset: 13 to 17."""
    graph = GRAPHS[name]
    b = Builder(seed, opset or graph.opset)
    b.node("Identity", [graph.build(b, "x")], "y")
    return b.model(name, {"x": ["batch", *graph.shape]}, ["y"])


def small_input(name: str, count: int = 4, seed: int = 1) -> NDArray[np.float32]:
    """Inputs f32[count, …] for that model: normal values, every second sample four times as large."""
    values = np.random.default_rng(seed).standard_normal((count, *GRAPHS[name].shape))
    values[::2] *= 4
    return values.astype(np.float32)


def _op(op: str, **attributes: Any) -> Callable[[Builder, str], str]:
    """A convolution, so that the op reads a hidden tensor, and the op."""
    return lambda b, x: b.node(op, [_conv(b, x)], **attributes)


def _between(op: Callable[[Builder, str], str]) -> Callable[[Builder, str], str]:
    """The op and a convolution that reads it, so that the op lies between quantized tensors, not at the end."""
    return lambda b, x: _conv(b, op(b, x), 1)


def _op_1d(op: str, **attributes: Any) -> Callable[[Builder, str], str]:
    return lambda b, x: b.node(op, [_convolution(kernel=(3,), pads=[1, 1])(b, x)], **attributes)


def _conv(b: Builder, x: str, kernel: int = 3) -> str:
    return b.conv(x, f"conv{len(b.nodes)}", CHANNELS, CHANNELS, kernel, bias=True)


def _convolution(
    outputs: int = CHANNELS, groups: int = 1, kernel: tuple[int, ...] = (3, 3), bias: bool = True, **attributes: Any
) -> Callable[[Builder, str], str]:
    def build(b: Builder, x: str) -> str:
        weight = b.constant("weight", b.he((outputs, CHANNELS // groups, *kernel)))
        names = [x, weight]
        if bias:
            names.append(b.constant("bias", b.random.standard_normal(outputs).astype(np.float32)))
        return b.node("Conv", names, "conv", kernel_shape=kernel, group=groups, **attributes)

    return build


def _two(op: str, **attributes: Any) -> Callable[[Builder, str], str]:
    """The op on two hidden tensors of one shape."""
    return lambda b, x: b.node(op, [_conv(b, x), _conv(b, x)], **attributes)


def _with(op: str, *constants: NDArray[np.generic], **attributes: Any) -> Callable[[Builder, str], str]:
    """The op on a hidden tensor and constants; an empty constant is an input left out.

    The hidden tensor is a Relu's, so that a sum or a product with constants cannot be folded into a convolution.
    """

    def build(b: Builder, x: str) -> str:
        names = [b.constant(f"constant{k}", c) if c.size else "" for k, c in enumerate(constants)]
        return b.node(op, [b.node("Relu", [_conv(b, x)]), *names], **attributes)

    return build


def _batch_norm(b: Builder, x: str) -> str:
    """After a MaxPool, where it cannot be folded into a convolution."""
    pooled = b.node("MaxPool", [_conv(b, x)], "pooled", kernel_shape=[2, 2])
    parameters = {
        "scale": b.random.uniform(0.5, 1.5, CHANNELS),
        "shift": b.random.standard_normal(CHANNELS),
        "mean": b.random.standard_normal(CHANNELS),
        "variance": b.random.uniform(0.5, 2.0, CHANNELS),
    }
    names = [b.constant(name, value.astype(np.float32)) for name, value in parameters.items()]
    return b.node("BatchNormalization", [pooled, *names], "bn")


def _gemm(transposed: bool) -> Callable[[Builder, str], str]:
    def build(b: Builder, x: str) -> str:
        weight = b.he((5, int(np.prod(IMAGE))))
        names = [b.constant("weight", weight if transposed else weight.T.copy())]
        names.append(b.constant("bias", b.random.standard_normal(5).astype(np.float32)))
        flat = b.node("Flatten", [_conv(b, x)], "flat", axis=1)
        return b.node("Gemm", [flat, *names], "gemm", transB=int(transposed))

    return build


def _matmul(b: Builder, x: str) -> str:
    weight = b.he((5, IMAGE[-1])).T.copy()
    return b.node("MatMul", [_conv(b, x), b.constant("weight", weight)], "matmul")


def _matmul_of_two(b: Builder, x: str) -> str:
    other = b.node("Transpose", [_conv(b, x)], "transposed", perm=[0, 1, 3, 2])
    return b.node("MatMul", [_conv(b, x), other], "matmul")


def _squeeze(b: Builder, x: str) -> str:
    axes = b.constant("axes", np.array([2], np.int64))
    return b.node("Squeeze", [b.node("Unsqueeze", [_conv(b, x), axes], "wide"), axes], "narrow")


def _split(b: Builder, x: str) -> str:
    sizes = b.constant("sizes", np.array([1, 3], np.int64))
    first = b.node("Split", [_conv(b, x), sizes], "part", outputs=2, axis=1)
    return b.node("Concat", [f"{first}.1", first], axis=1)


def _prelu(b: Builder, x: str) -> str:
    return b.node("PRelu", [_conv(b, x), b.constant("slopes", _SLOPES)], "prelu")


def _reduce_mean_channels(b: Builder, x: str) -> str:
    """The mean over the channels without the axis, then a fully connected layer that reads it."""
    mean = b.node("ReduceMean", [_conv(b, x)], "mean", axes=[1], keepdims=0)
    return b.node("MatMul", [mean, b.constant("weight", b.he((5, IMAGE[-1])).T.copy())], "matmul")


def _clip(b: Builder, x: str) -> str:
    return b.clip(_conv(b, x), 0.0, 6.0)


def _residual(b: Builder, x: str) -> str:
    """A block as ResNet has it: the same tensor is read by a convolution and by an Add."""
    hidden = b.node("Relu", [_conv(b, x)], "hidden")
    return b.node("Relu", [b.node("Add", [_conv(b, hidden), hidden], "sum")], "relu")


def _excitation(b: Builder, x: str) -> str:
    """A squeeze-and-excitation block: a product with one factor a channel."""
    hidden = _conv(b, x)
    squeezed = b.conv(b.node("GlobalAveragePool", [hidden], "pool"), "fc", CHANNELS, CHANNELS, 1, bias=True)
    return b.node("Mul", [hidden, b.node("Sigmoid", [squeezed], "gate")], "gated")


def _ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def _floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


_NONE = np.zeros(0, np.float32)
_POOL = {"kernel_shape": [3, 3], "strides": [2, 2]}
_SLOPES = np.linspace(0.05, 0.6, CHANNELS, dtype=np.float32).reshape(CHANNELS, 1, 1)

GRAPHS: dict[str, Small] = {
    "conv": Small(_convolution(pads=[1, 1, 1, 1])),
    "conv_no_bias": Small(_convolution(bias=False)),
    "conv_strides": Small(_convolution(strides=[2, 3], pads=[1, 1, 1, 1])),
    "conv_dilations": Small(_convolution(dilations=[2, 1], pads=[2, 1, 2, 1])),
    "conv_groups": Small(_convolution(groups=2, outputs=6, pads=[1, 1, 1, 1])),
    "conv_depthwise": Small(_convolution(groups=CHANNELS, pads=[1, 1, 1, 1])),
    "conv_depthwise_multiplier": Small(_convolution(groups=CHANNELS, outputs=2 * CHANNELS, pads=[1, 1, 1, 1])),
    "conv_one_output": Small(_convolution(outputs=1)),
    "conv_pointwise": Small(_convolution(kernel=(1, 1), outputs=7)),
    "conv_wide_kernel": Small(_convolution(kernel=(2, 5), pads=[0, 2, 1, 2])),
    "conv_asymmetric_pads": Small(_convolution(pads=[0, 2, 1, 0])),
    "conv_same_upper": Small(_convolution(auto_pad="SAME_UPPER", strides=[2, 2])),
    "conv_same_lower": Small(_convolution(auto_pad="SAME_LOWER", strides=[2, 2])),
    "conv_valid": Small(_convolution(auto_pad="VALID")),
    "conv_1d": Small(_convolution(kernel=(3,), pads=[1, 1]), SIGNAL),
    "conv_1d_everything": Small(_convolution(kernel=(3,), groups=2, strides=[2], dilations=[3], pads=[4, 1]), SIGNAL),
    "gemm": Small(_gemm(transposed=True)),
    "gemm_untransposed": Small(_gemm(transposed=False)),
    "matmul": Small(_matmul),
    "matmul_of_two": Small(_matmul_of_two),
    "add": Small(_two("Add")),
    "add_constant": Small(_with("Add", _SLOPES)),
    "sub": Small(_between(_two("Sub"))),
    "mul": Small(_two("Mul")),
    "mul_constant": Small(_with("Mul", _SLOPES)),
    "residual": Small(_residual),
    "excitation": Small(_excitation),
    "concat": Small(_two("Concat", axis=1)),
    "concat_last_axis": Small(_two("Concat", axis=-1)),
    "relu": Small(_op("Relu")),
    "clip": Small(_clip),
    "clip_inside": Small(_with("Clip", np.array(-0.5, np.float32), np.array(1.25, np.float32))),
    "clip_low_only": Small(_with("Clip", np.array(-0.25, np.float32))),
    "leaky_relu": Small(_op("LeakyRelu", alpha=0.1)),
    "prelu": Small(_between(_prelu)),
    "sigmoid": Small(_op("Sigmoid")),
    "tanh": Small(_between(_op("Tanh"))),
    "hard_sigmoid": Small(_between(_op("HardSigmoid", alpha=0.2, beta=0.5))),
    "hard_swish": Small(_between(_op("HardSwish"))),
    "max_pool": Small(_op("MaxPool", **_POOL, pads=[1, 1, 1, 1])),
    "max_pool_ceil": Small(_op("MaxPool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)),
    "max_pool_dilations": Small(_op("MaxPool", kernel_shape=[2, 2], dilations=[2, 3])),
    "max_pool_same_upper": Small(_op("MaxPool", **_POOL, auto_pad="SAME_UPPER")),
    "max_pool_1d": Small(_op_1d("MaxPool", kernel_shape=[3], strides=[2]), SIGNAL),
    "average_pool": Small(_op("AveragePool", **_POOL)),
    "average_pool_pads": Small(_op("AveragePool", **_POOL, pads=[1, 0, 1, 1])),
    "average_pool_include_pad": Small(_op("AveragePool", **_POOL, pads=[1, 1, 1, 1], count_include_pad=1)),
    "average_pool_ceil": Small(_op("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
    "average_pool_whole": Small(_op("AveragePool", kernel_shape=list(IMAGE[1:]))),
    "average_pool_1d": Small(_op_1d("AveragePool", kernel_shape=[4], strides=[3]), SIGNAL),
    "global_average_pool": Small(_op("GlobalAveragePool")),
    "reduce_mean": Small(_between(_op("ReduceMean", axes=[2, 3], keepdims=1))),
    "reduce_mean_last_axis": Small(_between(_op("ReduceMean", axes=[-1], keepdims=1))),
    "reduce_mean_channels": Small(_reduce_mean_channels),
    "reduce_mean_opset18": Small(_between(_with("ReduceMean", _ints(2, 3), keepdims=1)), opset=18),
    "reduce_max": Small(_between(_op("ReduceMax", axes=[2, 3], keepdims=1))),
    "reduce_max_channels": Small(_op("ReduceMax", axes=[1], keepdims=0)),
    "flatten": Small(_op("Flatten", axis=1)),
    "reshape": Small(_with("Reshape", _ints(0, -1, IMAGE[1]))),
    "transpose": Small(_op("Transpose", perm=[0, 2, 3, 1])),
    "squeeze": Small(_squeeze),
    "slice": Small(_with("Slice", _ints(1, 0), _ints(5, 6), _ints(2, 3), _ints(1, 2))),
    "slice_backwards": Small(_with("Slice", _ints(-1), _ints(np.iinfo(np.int64).min), _ints(3), _ints(-1))),
    "split": Small(_split),
    "depth_to_space": Small(_op("DepthToSpace", blocksize=2)),
    "depth_to_space_crd": Small(_op("DepthToSpace", blocksize=2, mode="CRD")),
    "pad": Small(_with("Pad", _ints(0, 0, 1, 2, 0, 0, 0, 1))),
    "pad_value": Small(_with("Pad", _ints(0, 0, 1, 2, 0, 0, 0, 1), np.array(0.75, np.float32))),
    "pad_reflect": Small(_with("Pad", _ints(0, 0, 1, 2, 0, 0, 0, 1), mode="reflect")),
    "pad_edge": Small(_with("Pad", _ints(0, 0, 1, 2, 0, 0, 0, 1), mode="edge")),
    "identity": Small(_op("Identity")),
    "dropout": Small(_op("Dropout")),
    "batch_norm": Small(_between(_batch_norm)),
    "resize_nearest": Small(
        _with(
            "Resize",
            _NONE,
            _floats(1, 1, 2, 2),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ),
    "resize_nearest_half_pixel": Small(
        _with(
            "Resize",
            _NONE,
            _floats(1, 1, 1.5, 0.5),
            mode="nearest",
            coordinate_transformation_mode="half_pixel",
            nearest_mode="round_prefer_floor",
        )
    ),
    "softmax": Small(_op("Softmax", axis=-1)),
}
