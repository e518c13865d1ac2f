"""Constants and shape arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning


def ints(w: ModelWriter, *values: int) -> str:
    return w.constant(np.array(values, np.int64))


def index(w: ModelWriter, value: int) -> str:
    return w.constant(np.array(value, np.int64))


FOLDED: dict[str, Callable[[ModelWriter], str]] = {
    "value": lambda w: w.constant(f32([0.5, 1, 2])),
    "value_floats": lambda w: w.node("Constant", value_floats=[0.5, 1.0, 2.0]),
    "gather": lambda w: w.node("Gather", w.constant(f32([[9, 0.5, 1, 2, 9]])), ints(w, 1, -3, 3), axis=1),
    "cast": lambda w: w.node("Cast", w.constant(np.array([1, 2, 3])), to=int(TensorProto.FLOAT)),
    "cast to half": lambda w: w.node("Cast", w.constant(f32([0.1, 2, 3])), to=int(TensorProto.FLOAT16)),
    "expand": lambda w: w.node("Expand", w.constant(f32([[0.5], [2]])), ints(w, 2, 3)),
    "constant of shape": lambda w: w.node("ConstantOfShape", ints(w, 3)),
    "add": lambda w: w.node("Add", w.constant(f32([0.5, 1, 2])), w.constant(f32(0.25))),
    "sub": lambda w: w.node("Sub", w.constant(f32([0.5, 1, 2])), w.constant(f32(0.25))),
    "mul": lambda w: w.node("Mul", w.constant(f32([0.1, 1, 2])), w.constant(f32(0.3))),
    "div": lambda w: w.node("Div", w.constant(f32([0.5, 1, 2])), w.constant(f32(0.3))),
    "min of three": lambda w: w.node("Min", *(w.constant(f32(v)) for v in ([5, 1, 2], [3, 4, 1], 2.5))),
    "dequantized": lambda w: w.node("Mul", w.dequantized([1, 2, 3], 0.25, 9), w.constant(f32(3))),
    "transposed": lambda w: w.node("Transpose", w.constant(f32([[1], [2], [3]]))),
    "concat": lambda w: w.node("Concat", w.constant(f32([1, 2])), w.constant(f32([3])), axis=0),
}


@pytest.mark.parametrize("name", FOLDED)
def test_folded_reals(name: str) -> None:
    """An Add reads the constant; the judge computes it by itself."""
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 2, 3]), 0.5, 3)
    k = FOLDED[name](w)
    if name == "cast to half":
        k = w.node("Cast", k, to=int(TensorProto.FLOAT))
    graph = same_meaning(w.model(w.quantized(w.node("Add", x, k, output="y"), 0.25)))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "Add", "DequantizeLinear"]
    assert graph.constants[graph.nodes[1].inputs[1]].dtype == np.float32


SHAPES: dict[str, tuple[Callable[[ModelWriter, str], str], tuple[int, ...]]] = {
    "batch, -1": (
        lambda w, x: w.node(
            "Concat",
            w.node("Unsqueeze", w.node("Gather", w.node("Shape", x), index(w, 0)), ints(w, 0)),
            ints(w, -1),
            axis=0,
        ),
        (-1, 60),
    ),
    "slice of the shape": (
        lambda w, x: w.node(
            "Concat", w.node("Slice", w.node("Shape", x), ints(w, 0), ints(w, 2), ints(w, 0)), ints(w, 20), axis=0
        ),
        (-1, 3, 20),
    ),
    "start and end": (lambda w, x: w.node("Concat", w.node("Shape", x, start=0, end=1), ints(w, 60), axis=0), (-1, 60)),
    "product": (
        lambda w, x: w.node(
            "Concat",
            w.node("Shape", x, end=1),
            w.node(
                "Mul", w.node("Shape", x, start=1, end=2), w.node("Mul", w.node("Shape", x, start=2, end=3), ints(w, 5))
            ),
            axis=0,
        ),
        (-1, 60),
    ),
    "neutral": (
        lambda w, x: w.node("Concat", w.node("Mul", w.node("Shape", x, end=1), ints(w, 1)), ints(w, 60), axis=0),
        (-1, 60),
    ),
    "cast": (
        lambda w, x: w.node(
            "Cast", w.node("Cast", w.node("Concat", w.node("Shape", x, end=1), ints(w, 60), axis=0), to=6), to=7
        ),
        (-1, 60),
    ),
    "computed batch": (
        lambda w, x: w.node("Concat", w.node("Mul", w.node("Shape", x, end=1), ints(w, 3)), ints(w, 20), axis=0),
        (-1, 20),
    ),
    "all of it": (lambda w, x: w.node("Shape", x), (-1, 3, 4, 5)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_an_unknown_batch(name: str) -> None:
    """Reading the shape of a tensor does not count as reading the tensor."""
    build, expected = SHAPES[name]
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 3, 4, 5]), 0.5, 3)
    y = w.node("Sigmoid", x, output="real")
    y = w.quantized(y, 0.25, output="codes")
    y = w.quantized(w.node("Reshape", y, build(w, "real"), output="y"), 0.25)
    graph = same_meaning(w.model(y))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "Sigmoid", "Reshape", "DequantizeLinear"]
    assert graph.nodes[2].attributes["shape"] == expected


def test_the_shape_of_a_fixed_batch_is_a_constant() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", [2, 3, 4]), 0.5, 3)
    batch = w.node("Gather", w.node("Shape", x), ints(w, 0))
    y = w.node("Reshape", x, w.node("Concat", batch, ints(w, -1), axis=0), output="y")
    assert load_graph(w.model(w.quantized(y, 0.5))).nodes[1].attributes["shape"] == (2, -1)


def test_two_unknown_lengths_may_be_copied() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", "C", 4, 5]), 0.5, 3)
    target = w.node("Concat", w.node("Shape", x, end=2), ints(w, 20), axis=0)
    graph = same_meaning(w.model(w.quantized(w.node("Reshape", x, target, output="y"), 0.5, 3)))
    assert graph.nodes[1].attributes["shape"] == (-1, 0, 20)


def after(build: Callable[[ModelWriter, str], str]) -> Any:
    def model() -> Any:
        w = ModelWriter()
        x = w.quantized(w.input("x", ["N", "C", 4]), 0.5, 3)
        return w.model(build(w, x))

    return model


@pytest.mark.parametrize(
    "model,error,reason",
    [
        (after(lambda w, x: w.node("Add", x, w.node("Shape", x))), UnsupportedOp, "computed from shapes or indices"),
        (
            after(lambda w, x: w.node("Gather", x, ints(w, 0))),
            UnsupportedOp,
            "is data; supported: constants",
        ),
        (after(lambda w, x: w.node("Gather", w.node("Shape", x), ints(w, 3))), MalformedGraph, "an index is outside"),
        (after(lambda w, x: w.node("Cast", x, to=1)), UnsupportedOp, "of data to float32; supported: of constants"),
        (
            after(lambda w, x: w.node("Reshape", x, w.node("Mul", w.node("Shape", x), ints(w, 2)))),
            UnsupportedOp,
            r"axes \[0, 1\] of its shape are unknown",
        ),
        (
            after(lambda w, x: w.node("Add", x, w.node("Expand", w.constant(f32([1, 2])), ints(w, 3)))),
            MalformedGraph,
            r"\(2,\) does not broadcast to \(3,\)",
        ),
        (
            after(lambda w, x: w.node("Add", x, w.node("ConstantOfShape", ints(w, -3)))),
            MalformedGraph,
            "negative length",
        ),
        (
            after(lambda w, x: w.node("Add", x, w.node("Add", ints(w, 1), w.constant(f32(1))))),
            MalformedGraph,
            "types int64 and float32 differ",
        ),
        (
            after(lambda w, x: w.node("Add", x, w.constant(np.array(0.1)))),
            UnsupportedOp,
            "is float64 with values that float32 cannot hold",
        ),
        (after(lambda w, x: w.node("Add", x, w.constant(f32(np.nan)))), MalformedGraph, "holds NaN"),
        (
            after(lambda w, x: w.node("Sigmoid", w.constant(f32(1)))),
            UnsupportedOp,
            "all its inputs are constants: fold",
        ),
    ],
)
def test_refused(model: Callable[[], Any], error: type[IntsimError], reason: str) -> None:
    with pytest.raises(error, match=reason):
        load_graph(model())
