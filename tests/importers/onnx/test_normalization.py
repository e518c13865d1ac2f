from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from intsim.errors import MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning


def batch_norm(variance: tuple[float, ...] = (0.5, 2.0, 1.0), **attributes: Any) -> ModelProto:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3, 2, 2]), 0.25, 30)
    values = {"scale": (1, -2, 3), "B": (0, 1, 2), "mean": (0.5, 0, -1), "var": variance}
    parameters = [w.constant(f32(v), name) for name, v in values.items()]
    y = w.node("BatchNormalization", x, *parameters, output="y", **attributes)
    return w.model(w.quantized(y, 0.25, 30))


def test_parameters_are_real_constants() -> None:
    graph = same_meaning(batch_norm(epsilon=0.25))
    assert graph.nodes[1].attributes == {"epsilon": 0.25}
    assert graph.nodes[1].inputs == ("x_q", "scale", "B", "mean", "var")
    assert all(graph.format(name) is None for name in graph.nodes[1].inputs[1:])


def test_quantized_parameters_become_real() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 2, 3]), 0.25, 30)
    parameters = [w.dequantized([i + 1, i + 2], 0.5, name=f"p{i}") for i in range(4)]
    y = w.quantized(w.node("BatchNormalization", x, *parameters, output="y"), 0.25, 30)
    graph = same_meaning(w.model(y))
    np.testing.assert_array_equal(graph.constants[graph.nodes[1].inputs[4]], f32([2, 2.5]))


def test_refused() -> None:
    with pytest.raises(UnsupportedOp, match="in training"):
        load_graph(batch_norm(training_mode=1))
    with pytest.raises(MalformedGraph, match="not positive"):
        load_graph(batch_norm((1.0, -1.0, 1.0)))
    with pytest.raises(MalformedGraph, match="channels of x"):
        load_graph(batch_norm((1.0, 1.0)))
