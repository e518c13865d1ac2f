"""The QDQ dialect: what QuantizeLinear and DequantizeLinear around an op become."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph
from intsim.importers import load_graph
from tests.importers.onnx.models import MICROSOFT, NEWEST, ModelWriter, f32, small_cnn
from tests.importers.onnx.round_trip import same_meaning


def shape_of(graph: Graph) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(n.op, n.inputs, n.outputs) for n in graph.nodes]


@pytest.mark.parametrize("opset", range(13, NEWEST + 1))
def test_a_network_in_every_opset(opset: int) -> None:
    graph = load_graph(small_cnn(opset))
    assert shape_of(graph) == [
        ("QuantizeLinear", ("x",), ("x_q",)),
        ("Conv", ("x_q", "w", "b"), ("conv",)),
        ("Relu", ("conv",), ("relu_q",)),
        ("MaxPool", ("relu_q",), ("pool_q",)),
        ("Flatten", ("pool_q",), ("flat_q",)),
        ("Gemm", ("flat_q", "dense.T"), ("gemm_q",)),
        ("DequantizeLinear", ("gemm_q",), ("gemm_q_dq",)),
    ]
    assert graph.opset == opset
    assert graph.inputs == ("x",)
    assert graph.outputs == ("gemm_q_dq",)


def test_a_network_computes_the_same() -> None:
    same_meaning(small_cnn())


def test_metadata_and_digest() -> None:
    w = ModelWriter()
    model = w.model(w.quantized(w.input("x", ["N"]), 0.5), metadata={"intsim.target": "diffquant"})
    graph = load_graph(model)
    assert graph.metadata == {"intsim.target": "diffquant"}
    assert graph.digest == load_graph(model.SerializeToString()).digest
    assert len(graph.digest) == 64


KINDS = {
    "uint2": (TensorProto.UINT2, 2, False, 25, ""),
    "int2": (TensorProto.INT2, 2, True, 25, ""),
    "uint4": (TensorProto.UINT4, 4, False, 21, ""),
    "int4": (TensorProto.INT4, 4, True, 21, ""),
    "uint8": (TensorProto.UINT8, 8, False, 13, ""),
    "int8": (TensorProto.INT8, 8, True, 13, ""),
    "uint16": (TensorProto.UINT16, 16, False, 21, ""),
    "int16": (TensorProto.INT16, 16, True, 21, ""),
    "int16 of com.microsoft": (TensorProto.INT16, 16, True, 13, MICROSOFT),
    "uint4 of com.microsoft": (TensorProto.UINT4, 4, False, 21, MICROSOFT),
}


@pytest.mark.parametrize("name", KINDS)
def test_code_types(name: str) -> None:
    """Activations and weights of every type; 2 and 4 bits are packed in the file."""
    kind, bits, signed, opset, domain = KINDS[name]
    lowest = -(1 << (bits - 1)) if signed else 0
    codes = np.arange(lowest, lowest + (1 << min(bits, 8)))
    w = ModelWriter(opset)
    s, z = w.constant(f32(0.5)), w.constant(1, kind=kind)
    x = w.node("QuantizeLinear", w.input("x", ["N", 1]), s, z, output="x_q", domain=domain)
    a = w.node("DequantizeLinear", x, s, z, domain=domain)
    b = w.node("DequantizeLinear", w.constant(codes, "k", kind), s, z, domain=domain)
    y = w.node("QuantizeLinear", w.node("Add", a, b), s, z, output="y", domain=domain)
    graph = load_graph(w.model(y))
    expected = Format(bits, signed, scale=(0.5,), zero_point=(1,))
    assert graph.format("x_q") == graph.format("k") == graph.format("y") == expected
    assert graph.constants["k"].dtype == expected.dtype
    np.testing.assert_array_equal(graph.constants["k"], codes)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_scales_are_exact(kind: int) -> None:
    w = ModelWriter()
    s = w.constant(0.15625, kind=kind)
    q = w.node("QuantizeLinear", w.input("x", ["N"], kind), s, w.constant(3, kind=TensorProto.INT8), output="q")
    assert load_graph(w.model(q)).format("q") == Format(8, scale=(0.15625,), zero_point=(3,))


def test_without_zero_point_the_codes_are_uint8() -> None:
    w = ModelWriter()
    q = w.node("QuantizeLinear", w.input("x", ["N"]), w.constant(f32(0.5)), output="q")
    assert load_graph(w.model(q)).format("q") == Format(8, False, scale=(0.5,))


def test_output_dtype() -> None:
    w = ModelWriter()
    s = w.constant(f32(0.5))
    q = w.node("QuantizeLinear", w.input("x", ["N"]), s, output="q", output_dtype=int(TensorProto.INT16))
    assert load_graph(w.model(q)).format("q") == Format(16, scale=(0.5,))


@pytest.mark.parametrize("axis,normal", [(None, 1), (-1, 3), (0, 0)])
def test_channels_of_activations(axis: int | None, normal: int) -> None:
    w = ModelWriter()
    s, z = w.constant(f32([0.5, 1, 2])), w.constant([3, 4, 5], kind=TensorProto.UINT8)
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    x = w.input("x", [3, 3, 2, 3])
    q = w.node("QuantizeLinear", x, s, z, output="q", **attributes)
    y = w.node("DequantizeLinear", q, s, z, output="y", **attributes)
    graph = same_meaning(w.model(w.node("Relu", y)))
    assert graph.format("q") == Format(8, False, False, (0.5, 1.0, 2.0), (3, 4, 5), normal)


def test_one_scale_in_a_list_is_per_tensor() -> None:
    w = ModelWriter()
    s, z = w.constant(f32([0.5])), w.constant([3], kind=TensorProto.UINT8)
    q = w.node("QuantizeLinear", w.input("x", ["N", 7]), s, z, output="q")
    assert load_graph(w.model(q)).format("q") == Format(8, False, scale=(0.5,), zero_point=(3,))


def test_float_weights_are_quantized_at_once() -> None:
    """torch keeps them as floats after QuantizeLinear and DequantizeLinear; ties go to even."""
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    k = w.quantized(w.constant(f32([0.25, 0.75, 1.25, 1000, -1000, np.inf]), "k"), 0.5, 3, output="k_q")
    graph = same_meaning(w.model(w.quantized(w.node("Add", x, k), 0.5)))
    np.testing.assert_array_equal(graph.constants["k_q"], np.array([3, 5, 5, 255, 0, 255], np.uint8))


def test_a_clip_behind_the_quantizer_is_a_narrower_format() -> None:
    """torch's exporter writes 7 bits as a Clip of 8-bit codes."""
    w = ModelWriter()
    for name, kind, low, high, expected in (
        ("a", TensorProto.UINT8, None, 127, Format(7, False)),
        ("b", TensorProto.INT8, -127, 127, Format(8, True, True)),
        ("c", TensorProto.INT8, -8, 7, Format(4)),
        ("d", TensorProto.INT8, -3, 7, None),
    ):
        w = ModelWriter()
        s, z = w.constant(f32(0.5)), w.constant(0, kind=kind)
        q = w.node("QuantizeLinear", w.input("x", ["N", 9]), s, z, output="q")
        bounds = [w.constant(v, kind=kind) if v is not None else "" for v in (low, high)]
        clip = w.node("Clip", q, *bounds, output=name)
        y = w.node("Relu", w.node("DequantizeLinear", clip, s, z), output="y")
        graph = same_meaning(w.model(w.quantized(y, 0.5)), spread=60)
        format = graph.format(name)
        assert format is not None
        if expected is None:
            assert [n.op for n in graph.nodes[:2]] == ["QuantizeLinear", "CodeClip"]
        else:
            assert [n.op for n in graph.nodes[:2]] == ["QuantizeLinear", "Relu"]
            assert (format.bits, format.signed, format.narrow) == (expected.bits, expected.signed, expected.narrow)


def test_codes_to_codes_is_a_requantize() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    graph = same_meaning(w.model(w.quantized(w.quantized(x, 0.75, -3, TensorProto.INT8, "b"), 0.75, -3, 3, "c")))
    assert shape_of(graph) == [
        ("QuantizeLinear", ("x",), ("x_q",)),
        ("Requantize", ("x_q",), ("b",)),
        ("Requantize", ("b",), ("c",)),
        ("DequantizeLinear", ("c",), ("c_dq",)),
    ]


def test_a_real_with_two_quantizers_stays_real() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    real = w.node("Sigmoid", x, output="real")
    a, b = w.quantized(real, 0.25, output="a"), w.quantized(real, 0.125, output="b")
    graph = same_meaning(w.model(a, b))
    assert [n[0] for n in shape_of(graph)].count("QuantizeLinear") == 3
    assert graph.format("real") is None


def test_quantizers_of_one_format_are_one() -> None:
    """ONNX Runtime's DedicatedQDQPair gives each reader of a tensor its own pair."""
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    real = w.node("Sigmoid", x, output="real")
    a, b = w.quantized(real, 0.25, output="a"), w.quantized(real, 0.25, output="b")
    graph = same_meaning(w.model(a, b))
    assert shape_of(graph)[1:3] == [("Sigmoid", ("x_q",), ("a",)), ("Requantize", ("a",), ("b",))]


def test_a_quantized_output_that_is_read_as_real_too_stays_real() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    real = w.node("Sigmoid", x, output="real")
    graph = same_meaning(w.model(w.quantized(real, 0.25, output="a"), "real"))
    assert ("QuantizeLinear", ("real",), ("a",)) in shape_of(graph)
    assert graph.format("real") is None


def test_codes_may_be_outputs_of_the_graph() -> None:
    w = ModelWriter()
    w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    graph = same_meaning(w.model("x_q", "x_q_dq"))
    assert graph.outputs == ("x_q", "x_q_dq")


def test_an_integer_input_takes_the_format_of_its_dequantizer() -> None:
    w = ModelWriter()
    s, z = w.constant(f32(0.5)), w.constant(3, kind=TensorProto.UINT8)
    x = w.node("DequantizeLinear", w.input("x", ["N", 6], TensorProto.UINT8), s, z)
    graph = same_meaning(w.model(w.quantized(w.node("Sigmoid", x), 0.1)))
    assert graph.format("x") == Format(8, False, scale=(0.5,), zero_point=(3,))
    assert graph.nodes[0].op == "Sigmoid"


def test_another_dequantizer_reinterprets_the_codes() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    other = w.node("DequantizeLinear", "x_q", w.constant(f32(0.25)), w.constant(9, kind=TensorProto.UINT8), output="o")
    graph = same_meaning(w.model(w.quantized(w.node("Add", x, other, output="y"), 0.5, 3)))
    assert ("Reinterpret", ("x_q",), ("o",)) in shape_of(graph)
    assert ("Add", ("x_q", "o"), ("y_q",)) in shape_of(graph)


def test_one_constant_may_have_two_formats() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3]), 0.5, 3)
    z = w.constant(0, kind=TensorProto.INT8)
    k = w.constant([1, 2, 3], "k", TensorProto.INT8)
    a, b = (w.node("DequantizeLinear", k, w.constant(f32(s)), z) for s in (0.5, 0.25))
    y = w.quantized(w.node("Mul", w.quantized(w.node("Add", x, a), 0.5, output="s"), b), 0.5)
    graph = same_meaning(w.model(y))
    names = [i for n in graph.nodes for i in n.inputs if i in graph.constants]
    formats = [graph.format(n) for n in names]
    assert len(set(names)) == 2
    assert [f.scale for f in formats if f is not None] == [(0.5,), (0.25,)]


def test_identity_and_dropout_vanish() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    z = w.node("Identity", w.constant(4, kind=TensorProto.UINT8))
    y = w.node("Identity", w.node("Sigmoid", w.node("Dropout", x)), output="sigmoid")
    codes = w.node("QuantizeLinear", y, w.constant(f32(0.25)), z, output="codes")
    back = w.node("DequantizeLinear", codes, w.constant(f32(0.25)), z, output="back")
    graph = same_meaning(w.model(w.node("Identity", back, output="out")))
    assert shape_of(graph) == [
        ("QuantizeLinear", ("x",), ("x_q",)),
        ("Sigmoid", ("x_q",), ("codes",)),
        ("DequantizeLinear", ("codes",), ("out",)),
    ]


def test_parameters_may_come_late_in_the_file() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 6]), 0.5, 3)
    w.node("Sigmoid", x, output="y")
    w.node("QuantizeLinear", "y", "scale", "zero", output="q")
    w.node("Constant", output="scale", value_float=0.25)
    w.node("Cast", w.constant(3, kind=TensorProto.INT32), output="zero", to=int(TensorProto.INT8))
    graph = load_graph(w.model("q"))
    assert graph.format("q") == Format(8, scale=(0.25,), zero_point=(3,))


def quantizer(
    scale: Any, zero: Any = 3, kind: int = TensorProto.UINT8, shape: Any = ("N", 4), **more: Any
) -> ModelProto:
    w = ModelWriter(more.pop("opset", 23))
    s = w.constant(scale) if isinstance(scale, np.ndarray) else scale(w)
    z = [] if zero is None else [w.constant(zero, kind=kind)]
    return w.model(w.node("QuantizeLinear", w.input("x", shape), s, *z, output="q", **more))


@pytest.mark.parametrize(
    "model,error,reason",
    [
        (lambda: quantizer(f32(0)), MalformedGraph, "scale must be positive and finite, not 0.0"),
        (lambda: quantizer(f32(-1)), MalformedGraph, "scale must be positive and finite, not -1.0"),
        (lambda: quantizer(f32(np.nan)), MalformedGraph, "scale must be positive and finite, not nan"),
        (lambda: quantizer(f32(np.inf)), MalformedGraph, "scale must be positive and finite, not inf"),
        (lambda: quantizer(f32([1, 2, 0, 1]), [0] * 4), MalformedGraph, "scale must be positive"),
        (lambda: quantizer(lambda w: ""), MalformedGraph, r"input 1 \(scale\) is missing"),
        (lambda: quantizer(lambda w: w.input("s", [])), UnsupportedOp, r"input 1 \(scale, 's'\) must be a constant"),
        (lambda: quantizer(f32([1, 2, 3]), [0] * 3), MalformedGraph, "3 scales for axis 1 of length 4"),
        (lambda: quantizer(f32([1, 2, 3, 4]), [0] * 3), MalformedGraph, "3 zero points for 4 scales"),
        (lambda: quantizer(f32([1, 2, 3, 4]), [0] * 4, axis=2), MalformedGraph, "axis 2 is outside"),
        (lambda: quantizer(f32([[1, 2]]), [[0, 0]], block_size=2), UnsupportedOp, "block_size"),
        (lambda: quantizer(f32([[1, 2]]), [[0, 0]]), UnsupportedOp, "scale of rank 2"),
        (lambda: quantizer(f32(1), 0, TensorProto.FLOAT8E4M3FN), UnsupportedOp, "float8e4m3fn is not supported; codes"),
        (
            lambda: quantizer(f32(1), None, output_dtype=int(TensorProto.FLOAT8E5M2)),
            UnsupportedOp,
            "float8e5m2 is not supported; codes are int2",
        ),
        (lambda: quantizer(f32(1), 1, TensorProto.INT64), MalformedGraph, "zero point 'c2' must be of one of"),
        (lambda: quantizer(np.array(1)), MalformedGraph, "scale must be one or more floats"),
    ],
)
def test_refused_quantizers(model: Any, error: type[IntsimError], reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        load_graph(model())
    assert "\n" not in str(caught.value)


def test_refused_dequantizers() -> None:
    w = ModelWriter()
    real = w.node("DequantizeLinear", w.input("x", ["N"]), w.constant(f32(1)), output="y")
    with pytest.raises(MalformedGraph, match=r"node 'node_y' \(DequantizeLinear\): x \('x'\) must be codes of one of"):
        load_graph(w.model(real))
    w = ModelWriter()
    z = w.constant(0, kind=TensorProto.INT8)
    y = w.node("DequantizeLinear", w.input("x", ["N"], TensorProto.UINT8), w.constant(f32(1)), z)
    with pytest.raises(MalformedGraph, match="must be of the same type"):
        load_graph(w.model(y))
    w = ModelWriter()
    w.input("x", ["N"])
    with pytest.raises(UnsupportedOp, match="is a constant: nothing is computed"):
        load_graph(w.model(w.dequantized([1, 2], 0.5)))
