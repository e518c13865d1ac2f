"""LiteRT judges the lowering of the targets `tflite` and `xnnpack`: whole one-op models, all codes, tolerance zero."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from intsim.errors import OutOfDomain
from intsim.formats import Format
from intsim.graph import Node
from intsim.model import Model
from intsim.target import TARGETS
from tests.lowering.graphs import affine, graph
from tests.targets.litert_models import Array, OneOp, Tensor, conv_2d, depthwise_conv_2d, fully_connected, run

pytest.importorskip("ai_edge_litert")
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64" or os.name != "posix", reason="LiteRT on x86-64")

JUDGES = {"tflite": "BUILTIN_REF", "xnnpack": "AUTO"}
ALL = np.arange(-128, 128, dtype=np.int8)
PAIRS = (np.repeat(ALL, 256), np.tile(ALL, 256))
"""Every pair of 8-bit codes."""


def i8(scale: float, zero_point: int = 0) -> Format:
    return affine(scale, zero_point, signed=True)


def tensor(shape: tuple[int, ...], format: Format, **more: Any) -> Tensor:
    return Tensor(shape, scale=list(format.scale), zero_point=list(format.zero_point), **more)


def codes(
    target: str,
    op: str,
    formats: list[Format],
    xs: list[Array],
    attributes: dict[str, Any],
    constants: Mapping[str, Array] | None = None,
    more: dict[str, Format] | None = None,
) -> Array:
    """What intsim computes for one node; the last format is the output's."""
    names = [f"x{i}" for i in range(len(xs))]
    known: dict[str, Format | None] = {**dict(zip([*names, "y"], formats, strict=True)), **(more or {})}
    node = Node("node", op, (*names, *(constants or {})), ("y",), attributes)
    shapes = {name: (None, *x.shape[1:]) for name, x in zip(names, xs, strict=True)}
    model = Model(graph([node], known, shapes, dict(constants or {}), tuple(names)), TARGETS[target])
    inputs = dict(zip(names, xs, strict=True))
    kernels, spec = (model.run(inputs, engine=engine).outputs["y"].values for engine in ("kernels", "spec"))
    assert np.array_equal(kernels, spec)
    return kernels


SCALES = [
    (0.05, 3, 0.04, -7, 0.07, 11),
    (0.02, -128, 0.02, -128, 0.04, -128),
    (0.9, 0, 0.011, 100, 1.3, 5),
    (0.001, 127, 0.0013, 1, 0.0009, -50),
    (2**-4, 0, 2**-6, 0, 2**-5, 0),
    (0.3, -1, 0.3, 1, 0.15, 0),
]


@pytest.mark.parametrize("target", JUDGES)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("scales", SCALES)
def test_every_pair_of_codes(target: str, op: str, scales: tuple[Any, ...]) -> None:
    a, b, y = (i8(*scales[i : i + 2]) for i in (0, 2, 4))
    if op == "Mul":
        y = i8(float(np.float32(40 * a.scale[0] * b.scale[0])), y.zero_point[0])
    shape = (1, 16, 16, 256)
    tensors = [tensor(shape, f) for f in (a, b, y)]
    judge = run(
        OneOp(op.upper(), tensors[:2], tensors[2], f"{op}Options"), JUDGES[target], *(p.reshape(shape) for p in PAIRS)
    )
    ours = codes(target, op, [a, b, y], [p.reshape(shape) for p in PAIRS], {})
    assert np.array_equal(ours, judge)


FORMATS = [(0.05, 3, 0.07, -11), (0.07, -128, 0.04, 20), (0.1, 5, 0.1, 5), (0.004, 90, 0.9, 0), (0.5, 0, 0.031, -4)]


@pytest.mark.parametrize("target", JUDGES)
@pytest.mark.parametrize("scales", FORMATS)
def test_every_code_in_another_format(target: str, scales: tuple[Any, ...]) -> None:
    x, y = i8(*scales[:2]), i8(*scales[2:])
    if x == y:
        pytest.skip("equal formats are a copy")
    shape = (1, 256)
    judge = run(OneOp("QUANTIZE", [tensor(shape, x)], tensor(shape, y), "QuantizeOptions"), JUDGES[target], ALL[None])
    assert np.array_equal(codes(target, "Requantize", [x, y], [ALL[None]], {}), judge)


@pytest.mark.parametrize("target", JUDGES)
@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.5])
@pytest.mark.parametrize("scales", FORMATS)
def test_leaky_relu_of_every_code(target: str, alpha: float, scales: tuple[Any, ...]) -> None:
    x, y = i8(*scales[:2]), i8(*scales[2:])
    shape = (1, 256)
    op = OneOp("LEAKY_RELU", [tensor(shape, x)], tensor(shape, y), "LeakyReluOptions", {"alpha": alpha}, 2)
    attributes = {"alpha": float(np.float32(alpha))}
    assert np.array_equal(
        codes(target, "LeakyRelu", [x, y], [ALL[None]], attributes), run(op, JUDGES[target], ALL[None])
    )


def image(seed: int, shape: tuple[int, ...]) -> Array:
    """Random codes, NCHW."""
    return np.random.default_rng(seed).integers(-128, 128, shape).astype(np.int8)


def channels_last(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("target", JUDGES)
@pytest.mark.parametrize("size", [(7, 7), (4, 4), (3, 5), (2, 1)])
@pytest.mark.parametrize("scales", FORMATS)
def test_mean(target: str, size: tuple[int, int], scales: tuple[Any, ...]) -> None:
    x, y = i8(*scales[:2]), i8(*scales[2:])
    data = image(sum(size), (1, 400, *size))
    axes = Tensor((2,), np.int32, data=np.array([1, 2], np.int32))
    op = OneOp(
        "MEAN", [tensor((1, *size, 400), x), axes], tensor((1, 1, 1, 400), y), "ReducerOptions", {"keepDims": True}
    )
    judge = run(op, JUDGES[target], channels_last(data))
    for name, attributes in (("GlobalAveragePool", {}), ("ReduceMean", {"axes": (2, 3), "keepdims": True})):
        assert np.array_equal(codes(target, name, [x, y], [data], attributes).reshape(-1), judge.reshape(-1))


@pytest.mark.parametrize("target", JUDGES)
@pytest.mark.parametrize(("kernel", "stride", "same"), [(2, 2, False), (3, 1, True), (3, 2, True), (7, 1, False)])
def test_average_pool(target: str, kernel: int, stride: int, same: bool) -> None:
    x = i8(0.05, 7)
    data = image(kernel, (1, 40, 9, 9))
    size = -(-9 // stride) if same else (9 - kernel) // stride + 1
    pad = max((size - 1) * stride + kernel - 9, 0) if same else 0
    options = {"padding": 0 if same else 1, "strideH": stride, "strideW": stride}
    options |= {"filterHeight": kernel, "filterWidth": kernel}
    op = OneOp("AVERAGE_POOL_2D", [tensor((1, 9, 9, 40), x)], tensor((1, size, size, 40), x), "Pool2DOptions", options)
    attributes = {
        "kernel": (kernel, kernel),
        "strides": (stride, stride),
        "pads": (pad // 2, pad // 2, pad - pad // 2, pad - pad // 2),
        "dilations": (1, 1),
        "ceil_mode": False,
        "count_include_pad": False,
    }
    judge = run(op, JUDGES[target], channels_last(data))
    assert np.array_equal(channels_last(codes(target, "AveragePool", [x, x], [data], attributes)), judge)


CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


@pytest.mark.parametrize("target", JUDGES)
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize("seed", range(4))
def test_layers_with_weights(target: str, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, cin, cout = 30, 8, 12 if kind != "depthwise" else 8
    x, y = i8(rng.uniform(0.001, 0.1), int(rng.integers(-128, 128))), i8(rng.uniform(0.01, 0.2), -13)
    scales = rng.uniform(0.001, 0.02, 1 if kind == "dense" else cout).astype(np.float32)
    shape = {"conv": (cout, cin, 3, 3), "depthwise": (cout, 1, 3, 3), "dense": (cout, cin)}[kind]
    w = rng.integers(-127, 128, shape).astype(np.int8)
    bias = rng.integers(-9000, 9000, cout).astype(np.int32)
    bias_scales = np.float32(x.scale[0]) * scales
    axis = None if kind == "dense" else 0
    one_zero = (0,) * len(scales)
    weight_format = Format(8, True, False, tuple(map(float, scales)), one_zero, axis)
    more = {"w": weight_format, "b": Format(32, True, False, tuple(map(float, bias_scales)), one_zero, axis)}
    if kind == "dense":
        data = image(seed, (400, cin))
        tw = Tensor(w.shape, scale=scales.tolist(), data=w)
        tb = Tensor((cout,), np.int32, bias_scales.tolist(), data=bias)
        judge = run(fully_connected(tensor(data.shape, x), tw, tb, tensor((400, cout), y)), JUDGES[target], data)
        constants: dict[str, Array] = {"w": np.ascontiguousarray(w.T), "b": bias}
        ours = codes(target, "Gemm", [x, y], [data], {"alpha": 1.0, "beta": 1.0}, constants, more)
        assert np.array_equal(ours, judge)
        return
    data = image(seed, (1, cin, n, n))
    layout = (0, 2, 3, 1) if kind == "conv" else (1, 2, 3, 0)
    moved = np.ascontiguousarray(w.transpose(layout))
    tw = Tensor(moved.shape, scale=scales.tolist(), data=moved, axis=0 if kind == "conv" else 3)
    tb = Tensor((cout,), np.int32, bias_scales.tolist(), data=bias)
    build = conv_2d if kind == "conv" else depthwise_conv_2d
    op = build(tensor((1, n, n, cin), x), tw, tb, tensor((1, n - 2, n - 2, cout), y))
    judge = run(op, JUDGES[target], channels_last(data))
    attributes = {**CONV, "groups": 1 if kind == "conv" else cin}
    ours = codes(target, "Conv", [x, y], [data], attributes, {"w": w, "b": bias}, more)
    assert np.array_equal(channels_last(ours), judge)


def test_an_addition_that_tflite_refuses_is_refused() -> None:
    a, y = i8(1.0), i8(2.0**-20)
    with pytest.raises(OutOfDomain, match=r"node 'node' \(Add\): target 'tflite' adds only where .* tensor 'y'"):
        codes("tflite", "Add", [a, a, y], [ALL[None], ALL[None]], {})
