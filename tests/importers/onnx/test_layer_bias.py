from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from intsim.errors import MalformedGraph
from intsim.formats import Format
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32


def layer(bias: Any, metadata: Any, scale: Any = 2.0**-9, op: str = "Conv") -> ModelProto:
    """A layer of products at 2**-9 whose int32 bias has metadata."""
    w = ModelWriter()
    shape: list[int | str] = ["N", 2, 4, 4] if op == "Conv" else ["N", 2]
    x = w.quantized(w.input("x", shape), 2.0**-4, 0, TensorProto.INT8)
    weights = np.ones((3, 2, 1, 1) if op == "Conv" else (2, 3), int)
    inputs = [x, w.dequantized(weights, f32(scale) * f32(2.0**4), axis=0 if op == "Conv" else 1)]
    if bias is not None:
        inputs.append(w.dequantized(bias, scale, 0, TensorProto.INT32, name="b"))
    y = w.node(op, *inputs, output="y")
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    helper.set_metadata_props(w.nodes[-1], {"intsim.bias": text})
    return w.model(w.quantized(y, 0.5, 0, TensorProto.INT8))


ENTRIES = {"bits": 8, "exponent": -6, "headroom": 16}


@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_the_bias_comes_back(op: str) -> None:
    graph = load_graph(layer([8, -1024, 127 * 8], ENTRIES, op=op))
    assert graph.format("b") == Format(8, scale=(2.0**-6,))
    np.testing.assert_array_equal(graph.constants["b"], np.array([1, -128, 127], np.int8))


def test_products_of_several_exponents() -> None:
    graph = load_graph(layer([8, 4, -2], ENTRIES, scale=[2.0**-9, 2.0**-8, 2.0**-7]))
    assert graph.format("b") == Format(8, scale=(2.0**-6,))
    np.testing.assert_array_equal(graph.constants["b"], np.array([1, 1, -1], np.int8))


def test_without_metadata_the_bias_is_what_the_file_says() -> None:
    model = layer([8, 9, 10], ENTRIES)
    for node in model.graph.node:
        del node.metadata_props[:]
    assert load_graph(model).format("b") == Format(32, scale=(2.0**-9,))


@pytest.mark.parametrize(
    "model,reason",
    [
        (lambda: layer([8, 9, 10], ENTRIES), "the bias 'b' is not 8-bit codes shifted left"),
        (lambda: layer([8, 8, 1024], ENTRIES), "the bias 'b' is not 8-bit codes shifted left"),
        (lambda: layer([8] * 3, {**ENTRIES, "exponent": -10}), "exponent -10 is not within 0 to 16 above -9"),
        (lambda: layer([0] * 3, {**ENTRIES, "exponent": 8}), "exponent 8 is not within 0 to 16 above -9"),
        (lambda: layer([8] * 3, {**ENTRIES, "bits": 33}), "bits 33, .* must be within 1 to 32"),
        (lambda: layer([8] * 3, {**ENTRIES, "bits": True}), "must be JSON with the integers bits, exponent, headroom"),
        (lambda: layer([8] * 3, {"bits": 8}), "must be JSON with the integers"),
        (lambda: layer([8] * 3, "[" * 100_000), "must be JSON with the integers"),
        (lambda: layer([8] * 3, "8,-6,16"), "must be JSON with the integers"),
        (lambda: layer(None, ENTRIES), "the bias must be constant codes at a power of two"),
        (lambda: layer([8] * 3, ENTRIES, scale=0.3), "the bias must be constant codes at a power of two"),
    ],
)
def test_refused(model: Any, reason: str) -> None:
    with pytest.raises(MalformedGraph, match=rf"node 'node_y' \(Conv\): metadata intsim.bias.*{reason}"):
        load_graph(model())
