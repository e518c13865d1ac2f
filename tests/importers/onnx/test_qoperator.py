"""The QOperator dialect. Scales are powers of two: then ONNX Runtime's integer kernels and float ops agree exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import MICROSOFT, ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning

RANDOM = np.random.default_rng(5)


class Codes:
    """Constants of a QOperator model: scale and zero point in the order in which QLinear ops take them."""

    def __init__(self, w: ModelWriter, kind: int = TensorProto.UINT8) -> None:
        self.w, self.kind = w, kind

    def __call__(self, scale: Any, zero: Any = 0, kind: int = 0) -> tuple[str, str]:
        return self.w.constant(f32(scale)), self.w.constant(zero, kind=kind or self.kind)

    def input(self, name: str, *shape: int | str, scale: float = 0.5, zero: int = 7) -> tuple[str, str, str]:
        parameters = self(scale, zero)
        q = self.w.node("QuantizeLinear", self.w.input(name, shape), *parameters, output=f"{name}_q")
        return (q, *parameters)

    def weights(self, shape: tuple[int, ...], scale: Any, zero: Any = 0) -> tuple[str, str, str]:
        kind = TensorProto.INT8
        codes = self.w.constant(RANDOM.integers(-128, 128, shape), "w", kind)
        return (codes, *self(scale, np.broadcast_to(zero, np.shape(scale)), kind))

    def model(self, codes: str, scale: float, zero: int) -> ModelProto:
        return self.w.model(codes, self.w.node("DequantizeLinear", codes, *self(scale, zero), output="real"))


CHANNELS = [0.5, 0.25, 1.0]


def conv(w: ModelWriter, c: Codes, domain: str = "", channels: bool = True, **attributes: Any) -> str:
    weights = c.weights((3, 2, 3, 3), CHANNELS if channels else 0.5)
    bias = w.constant(RANDOM.integers(-900, 900, 3), "b", TensorProto.INT32)
    x = c.input("x", "N", 2, 6, 5)
    return w.node("QLinearConv", *x, *weights, *c(8, 90), bias, output="y", domain=domain, **attributes)


def gemm(w: ModelWriter, c: Codes, turned: int, channels: bool) -> str:
    weights = c.weights((3, 4) if turned else (4, 3), CHANNELS if channels else 0.5)
    bias = w.constant(RANDOM.integers(-90, 90, 3), "b", TensorProto.INT32)
    attributes = {"alpha": 0.5, "transB": turned}
    return w.node("QGemm", *c.input("x", "N", 4), *weights, bias, *c(4, 90), output="y", domain=MICROSOFT, **attributes)


def microsoft(op: str, **attributes: Any) -> Callable[[ModelWriter, Codes], str]:
    return lambda w, c: w.node(
        op, *c.input("x", "N", 4, 6, 5), *c(0.25, 90), output="y", domain=MICROSOFT, **attributes
    )


def binary(op: str) -> Callable[[ModelWriter, Codes], str]:
    def build(w: ModelWriter, c: Codes) -> str:
        a, b = c.input("x", "N", 4, 6), c.input("b", 1, 4, 1, scale=0.25, zero=99)
        return w.node(op, *a, *b, *c(2, 90), output="y", domain=MICROSOFT)

    return build


def concat(w: ModelWriter, c: Codes) -> str:
    a, b = c.input("x", "N", 4, 6), c.input("b", "N", 4, 2, scale=0.25, zero=99)
    return w.node("QLinearConcat", *c(0.5, 7), *a, *b, output="y", domain=MICROSOFT, axis=-1)


OPS: dict[str, tuple[str, Callable[[ModelWriter, Codes], str]]] = {
    "QLinearConv": ("Conv", lambda w, c: conv(w, c, pads=[1, 1, 1, 1], strides=[1, 2])),
    "QLinearConv per tensor": ("Conv", lambda w, c: conv(w, c, channels=False, auto_pad="SAME_UPPER")),
    "QLinearMatMul": (
        "MatMul",
        lambda w, c: w.node("QLinearMatMul", *c.input("x", "N", 3, 4), *c.weights((4, 3), 0.5), *c(8, 90), output="y"),
    ),
    "QLinearMatMul per column": (
        "MatMul",
        lambda w, c: w.node("QLinearMatMul", *c.input("x", "N", 4), *c.weights((4, 3), CHANNELS), *c(8, 9), output="y"),
    ),
    "QGemm": ("Gemm", lambda w, c: gemm(w, c, 0, True)),
    "QGemm transposed": ("Gemm", lambda w, c: gemm(w, c, 1, True)),
    "QGemm transposed per tensor": ("Gemm", lambda w, c: gemm(w, c, 1, False)),
    "QLinearAdd": ("Add", binary("QLinearAdd")),
    "QLinearMul": ("Mul", binary("QLinearMul")),
    "QLinearConcat": ("Concat", concat),
    "QLinearLeakyRelu": ("LeakyRelu", microsoft("QLinearLeakyRelu", alpha=0.5)),
    "QLinearSigmoid": ("Sigmoid", microsoft("QLinearSigmoid")),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", microsoft("QLinearGlobalAveragePool", channels_last=0)),
    "QLinearAveragePool": ("AveragePool", microsoft("QLinearAveragePool", kernel_shape=[2, 2], pads=[1, 0, 0, 1])),
    "QLinearReduceMean": ("ReduceMean", microsoft("QLinearReduceMean", axes=[-1, 1], keepdims=0)),
}
NOT_IN_ORT = {"QLinearReduceMean"}


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT8], ids=["uint8", "int8"])
@pytest.mark.parametrize("name", [n for n in OPS if n not in NOT_IN_ORT])
def test_codes_of_onnx_runtime(name: str, kind: int) -> None:
    op, build = OPS[name]
    w = ModelWriter()
    codes = Codes(w, kind)
    y = build(w, codes)
    graph = same_meaning(codes.model(y, 0.25, 9))
    node = next(n for n in graph.nodes if "y" in n.outputs)
    assert node.op == op
    assert node.attributes["integer_kernel"] is True
    assert all(graph.format(i) is not None for i in node.inputs)


def test_reduce_mean_is_read() -> None:
    w = ModelWriter()
    c = Codes(w)
    graph = load_graph(c.model(OPS["QLinearReduceMean"][1](w, c), 0.25, 9))
    node = next(n for n in graph.nodes if "y" in n.outputs)
    assert node.attributes == {"axes": (1, 3), "keepdims": False, "integer_kernel": True}
    assert graph.values["y"].shape == (None, 6)


def test_softmax_is_read() -> None:
    w = ModelWriter()
    c = Codes(w)
    graph = load_graph(c.model(microsoft("QLinearSoftmax", axis=-1, opset=13)(w, c), 0.25, 9))
    assert next(n for n in graph.nodes if "y" in n.outputs).attributes["axis"] == 3


def test_the_bias_is_in_units_of_the_accumulator() -> None:
    w = ModelWriter()
    c = Codes(w)
    graph = load_graph(c.model(conv(w, c), 8, 90))
    bias = graph.format("b")
    assert bias is not None
    assert (bias.bits, bias.scale, bias.zero_point, bias.axis) == (32, (0.25, 0.125, 0.5), (0, 0, 0), 0)


def test_gemm_without_output_scale_is_real() -> None:
    w = ModelWriter()
    c = Codes(w)
    y = w.node("QGemm", *c.input("x", "N", 4), *c.weights((4, 3), 0.5), output="y", domain=MICROSOFT)
    graph = same_meaning(w.model(y))
    assert graph.format("y") is None
    assert graph.nodes[-1].inputs == ("x_q", "w")


@pytest.mark.onnxruntime
def test_an_input_of_the_graph_takes_the_format_of_its_reader() -> None:
    w = ModelWriter()
    c = Codes(w)
    x = w.input("x", ["N", 2, 6, 5], TensorProto.UINT8)
    y = w.node("QLinearConv", x, *c(0.5, 7), *c.weights((3, 2, 3, 3), CHANNELS), *c(8, 90), output="y")
    graph = same_meaning(c.model(y, 8, 90))
    format = graph.format("x")
    assert format is not None
    assert (format.scale, format.zero_point) == ((0.5,), (7,))
    assert [n.op for n in graph.nodes] == ["Conv", "DequantizeLinear"]


def test_codes_that_are_read_in_another_format_are_reinterpreted() -> None:
    w = ModelWriter()
    c = Codes(w)
    x, *_ = c.input("x", "N", 4)
    y = w.node("QLinearAdd", x, *c(0.5, 7), x, *c(0.25, 3), *c(2, 90), output="y", domain=MICROSOFT)
    graph = same_meaning(c.model(y, 2, 90))
    assert [n.op for n in graph.nodes].count("Reinterpret") == 1
    add = next(n for n in graph.nodes if n.op == "Add")
    formats = [graph.format(i) for i in add.inputs]
    assert [f.scale[0] for f in formats if f is not None] == [0.5, 0.25]


def broken(op: str, *inputs: Any, **attributes: Any) -> ModelProto:
    w = ModelWriter()
    c = Codes(w)
    names: list[str] = []
    for item in inputs:
        names += [item] if isinstance(item, str) else item(w, c)
    return w.model(w.node(op, *names, output="y", domain=MICROSOFT, **attributes))


@pytest.mark.parametrize(
    "model,error,reason",
    [
        (
            lambda: broken("QLinearSigmoid", lambda w, c: c.input("x", "N", 2), lambda w, c: c([0.5, 1], [0, 0])),
            UnsupportedOp,
            "2 scales for y; supported: one",
        ),
        (lambda: broken("QLinearSigmoid", lambda w, c: c.input("x", "N", 2)), MalformedGraph, "input 3 .* is missing"),
        (
            lambda: broken("QLinearSigmoid", lambda w, c: c.input("x", "N", 2), lambda w, c: c(-1.0)),
            MalformedGraph,
            "scale must be positive and finite, not -1.0",
        ),
        (
            lambda: broken("QLinearSigmoid", lambda w, c: [w.input("x", [2])], lambda w, c: c(1), lambda w, c: c(1)),
            MalformedGraph,
            "x must be codes",
        ),
        (
            lambda: broken(
                "QLinearGlobalAveragePool",
                lambda w, c: c.input("x", "N", 4, 4, 2),
                lambda w, c: c(1),
                channels_last=1,
            ),
            UnsupportedOp,
            "channels_last .NHWC. is not supported; supported: channels_last 0",
        ),
        (
            lambda: broken("QLinearConcat", lambda w, c: c(1), lambda w, c: c.input("x", "N", 2)[:2], axis=1),
            MalformedGraph,
            "takes 2 [+] 3 n inputs, not 4",
        ),
        (
            lambda: broken("QLinearAdd", lambda w, c: c.input("x", 2), lambda w, c: c.input("b", 3), lambda w, c: c(1)),
            MalformedGraph,
            "input shapes 2, 3: lengths 2 and 3 do not broadcast",
        ),
        (lambda: broken("QLinearWhere", lambda w, c: c.input("x", 2)), UnsupportedOp, "QLinearWhere.*QLinearAdd, "),
    ],
)
def test_refused(model: Any, error: type[IntsimError], reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        load_graph(model())
    assert "node 'node_y' (" in str(caught.value)
