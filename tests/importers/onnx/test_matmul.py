from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning

RANDOM = np.random.default_rng(4)


def gemm_model(
    a: Sequence[int | str] = ("N", 6), b: Sequence[int] = (6, 5), axis: int = 1, bias: bool = True, **attributes: Any
) -> ModelProto:
    w = ModelWriter()
    inputs = [w.quantized(w.input("a", a), 0.25, 5)]
    scale = np.linspace(0.1, 0.3, b[axis]).astype(np.float32)
    inputs.append(w.dequantized(RANDOM.integers(-128, 128, b), scale, name="b", axis=axis))
    if bias:
        codes = RANDOM.integers(-900, 900, b[axis])
        inputs.append(w.dequantized(codes, f32(0.25) * scale, 0, TensorProto.INT32, name="c"))
    return w.model(w.quantized(w.node("Gemm", *inputs, output="y", **attributes), 0.5, 120))


def test_gemm() -> None:
    graph = same_meaning(gemm_model(alpha=0.5, beta=2.0))
    assert graph.nodes[1].attributes == {"alpha": 0.5, "beta": 2.0}


def test_gemm_without_c() -> None:
    graph = same_meaning(gemm_model(bias=False))
    assert len(graph.nodes[1].inputs) == 2


def test_a_transposed_constant_moves_its_channels() -> None:
    graph = same_meaning(gemm_model(b=(5, 6), axis=0, transB=1))
    b = graph.nodes[1].inputs[1]
    assert b == "b.T"
    format = graph.format(b)
    assert format is not None
    assert (format.axis, graph.constants[b].shape) == (1, (6, 5))


def test_a_transposed_activation_is_a_node() -> None:
    graph = same_meaning(gemm_model((6, 3), transA=1))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "Transpose", "Gemm", "DequantizeLinear"]


@pytest.mark.parametrize("a,b", [(("N", 3, 6), (6, 5)), (("N", 2, 3, 6), (2, 6, 5)), (("N", 6), (6,))])
def test_matmul(a: Sequence[int | str], b: Sequence[int]) -> None:
    w = ModelWriter()
    x = w.quantized(w.input("a", a), 0.25, 5)
    weights = w.dequantized(RANDOM.integers(-128, 128, b), 0.1, name="b")
    same_meaning(w.model(w.quantized(w.node("MatMul", x, weights, output="y"), 0.5, 120)))


def test_matmul_of_two_activations() -> None:
    w = ModelWriter()
    a = w.quantized(w.input("a", ["N", 3, 6]), 0.25, 5)
    b = w.quantized(w.input("b", ["N", 6, 2]), 0.5, -3, TensorProto.INT8)
    same_meaning(w.model(w.quantized(w.node("MatMul", a, b, output="y"), 0.5, 120)))


def test_weights_that_are_transposed_after_dequantize() -> None:
    """Linear of torch's exporter: DequantizeLinear -> Transpose -> MatMul."""
    w = ModelWriter()
    a = w.quantized(w.input("a", ["N", 3, 6]), 0.25, 5)
    scale = np.linspace(0.1, 0.3, 5).astype(np.float32)
    weights = w.dequantized(RANDOM.integers(-128, 128, (5, 6)), scale, name="b")
    turned = w.node("Transpose", weights, output="turned", perm=[1, 0])
    graph = same_meaning(w.model(w.quantized(w.node("MatMul", a, turned, output="y"), 0.5, 120)))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "MatMul", "DequantizeLinear"]
    format = graph.format("turned")
    assert format is not None
    assert format.axis == 1


def test_matmul_integer() -> None:
    w = ModelWriter()
    a, b = (
        w.input("a", ["N", 6], TensorProto.UINT8),
        w.constant(RANDOM.integers(0, 256, (6, 3)), "b", TensorProto.UINT8),
    )
    zeros = w.constant(9, kind=TensorProto.UINT8), w.constant([1, 2, 3], kind=TensorProto.UINT8)
    graph = same_meaning(w.model(w.node("MatMulInteger", a, b, *zeros, output="y")))
    assert graph.nodes[0].attributes == {"raw_output": True}


def test_a_sum_of_codes_with_real_output_stays_a_sum_of_codes() -> None:
    w = ModelWriter()
    a = w.quantized(w.input("a", ["N", 6]), 0.25, 5)
    weights = w.dequantized(RANDOM.integers(-128, 128, (6, 3)), 0.1, name="b")
    graph = same_meaning(w.model(w.node("MatMul", a, weights, output="y")))
    assert graph.nodes[-1].inputs == ("a_q", "b")
    assert graph.format("y") is None


def test_refused() -> None:
    with pytest.raises(MalformedGraph, match=r"node 'node_y' \(Gemm\) with input shapes \?x7, 6x5.*7 is not 6"):
        load_graph(gemm_model(("N", 7)))
    with pytest.raises(MalformedGraph, match="rank"):
        load_graph(gemm_model(("N", 6, 1)))
    w = ModelWriter()
    codes = w.input("a", ["N", 6], TensorProto.UINT8)
    with pytest.raises(UnsupportedOp, match=r"node 'node_y' \(MatMul\): input 0 \(a\) is an integer tensor"):
        load_graph(w.model(w.node("MatMul", codes, codes, output="y")))
