from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.importers import load_graph
from tests.importers.onnx.models import ModelWriter, f32
from tests.importers.onnx.round_trip import same_meaning

Build = Callable[[ModelWriter, str], str]
SHAPE = ("N", 4, 6, 5)


def fixed(w: ModelWriter, *shape: int) -> str:
    return w.quantized(w.input("fixed", shape), 0.5, 7)


def ints(w: ModelWriter, *values: int) -> str:
    return w.constant(np.array(values, np.int64))


MOVES: dict[str, Build] = {
    "flatten": lambda w, x: w.node("Flatten", x, output="y"),
    "flatten at 2": lambda w, x: w.node("Flatten", x, output="y", axis=2),
    "flatten at -1": lambda w, x: w.node("Flatten", x, output="y", axis=-1),
    "reshape": lambda w, x: w.node("Reshape", x, ints(w, -1, 5, 24), output="y"),
    "reshape with 0": lambda w, x: w.node("Reshape", x, ints(w, 0, 0, -1), output="y"),
    "transpose": lambda w, x: w.node("Transpose", x, output="y", perm=[0, 2, 3, 1]),
    "reverse": lambda w, x: w.node("Transpose", x, output="y"),
    "unsqueeze": lambda w, x: w.node("Unsqueeze", x, ints(w, -1, 1), output="y"),
    "squeeze": lambda w, x: w.node("Squeeze", w.node("Unsqueeze", x, ints(w, 2, 4)), ints(w, -4, 4), output="y"),
    "slice": lambda w, x: w.node("Slice", x, ints(w, 1, 0), ints(w, 3, 2**62), ints(w, 1, -1), output="y"),
    "slice backwards": lambda w, x: w.node(
        "Slice", x, ints(w, -1, 4), ints(w, -(2**62), 0), ints(w, 1, 2), ints(w, -1, -2), output="y"
    ),
    "slice without axes": lambda w, x: w.node("Slice", x, ints(w, 0, 1), ints(w, 2**31, -1), output="y"),
    "reduce max": lambda w, x: w.node("ReduceMax", x, ints(w, 1, -1), keepdims=1, output="y"),
    "reduce max without axes kept": lambda w, x: w.node("ReduceMax", x, ints(w, 3), keepdims=0, output="y"),
    "depth to space": lambda w, x: w.node("DepthToSpace", x, blocksize=2, output="y"),
    "depth to space crd": lambda w, x: w.node("DepthToSpace", x, blocksize=2, mode="CRD", output="y"),
    "pad": lambda w, x: w.node("Pad", x, ints(w, 0, 1, 2, 0, 0, 0, 1, 3), output="y"),
    "pad value": lambda w, x: w.node("Pad", x, ints(w, 0, 1, 2, 0, 0, 0, 1, 3), w.constant(f32(1.5)), output="y"),
    "pad axes": lambda w, x: w.node("Pad", x, ints(w, 1, 2, 0, 3), "", ints(w, 3, -2), output="y"),
    "pad reflect": lambda w, x: w.node("Pad", x, ints(w, 0, 0, 2, 1, 0, 0, 1, 3), output="y", mode="reflect"),
    "pad edge": lambda w, x: w.node("Pad", x, ints(w, 0, 0, 2, 1, 0, 0, 1, 3), output="y", mode="edge"),
    "resize": lambda w, x: w.node("Resize", x, "", w.constant(f32([1, 1, 2, 1.5])), output="y", nearest_mode="floor"),
    "resize sizes": lambda w, x: w.node(
        "Resize", x, "", "", ints(w, 9, 3), output="y", axes=[2, 3], coordinate_transformation_mode="asymmetric"
    ),
}


def moved(build: Build, scale: float = 0.5, zero: int = 7) -> ModelProto:
    """Quantized data, moved, quantized."""
    w = ModelWriter()
    return w.model(w.quantized(build(w, w.quantized(w.input("x", SHAPE), 0.5, 7)), scale, zero))


@pytest.mark.parametrize("name", MOVES)
def test_codes_move(name: str) -> None:
    graph = same_meaning(moved(MOVES[name]))
    assert graph.format("y_q") == graph.format("x_q")
    same_meaning(moved(MOVES[name], 0.75, 50))


@pytest.mark.parametrize("name", MOVES)
def test_without_a_quantizer_the_codes_keep_their_format(name: str) -> None:
    w = ModelWriter()
    y = MOVES[name](w, w.quantized(w.input("x", SHAPE), 0.5, 7))
    graph = same_meaning(w.model(w.node("Relu", w.quantized(w.node("Relu", y, output="r"), 0.5, 7), output="out")))
    assert graph.format("y") == graph.format("x_q")


@pytest.mark.parametrize("name", [n for n in MOVES if n != "pad value"])
def test_integers_move(name: str) -> None:
    """The QOperator dialect: the op reads the codes themselves."""
    w = ModelWriter()
    s, z = w.constant(f32(0.5)), w.constant(0, kind=TensorProto.UINT8)
    y = MOVES[name](w, w.node("QuantizeLinear", w.input("x", SHAPE), s, z, output="q"))
    graph = same_meaning(w.model(w.node("DequantizeLinear", y, s, z, output="out")))
    assert graph.format("y") == graph.format("q")


@pytest.mark.parametrize("name", [n for n in MOVES if not n.startswith(("pad", "resize"))])
def test_constants_are_moved_at_once(name: str) -> None:
    """On weights after their DequantizeLinear (torch exports a Transpose there)."""
    w = ModelWriter()
    codes = np.arange(120).reshape(1, 4, 6, 5) % 100
    y = MOVES[name](w, w.dequantized(codes, 0.5, 7, name="k"))
    x = w.quantized(w.input("x", [1]), 0.5, 7)
    graph = same_meaning(w.model(w.quantized(w.node("Add", x, y, output="sum"), 1.0, 3)))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "Add", "DequantizeLinear"]
    format = graph.format("y")
    assert format is not None
    assert (format.scale, format.zero_point) == ((0.5,), (7,))


@pytest.mark.parametrize("name", ["transpose", "unsqueeze", "squeeze", "flatten at 2", "reshape"])
def test_the_axis_of_channels_moves_too(name: str) -> None:
    w = ModelWriter()
    codes, scale = np.arange(120).reshape(2, 4, 3, 5) % 100, f32([0.5, 0.25, 2, 1])
    weights = w.dequantized(codes, scale, 0, name="k", axis=1)
    if name in ("flatten at 2", "reshape"):
        y = w.node("Reshape", weights, ints(w, 1, 2, 4, 15), output="y")
    else:
        y = MOVES[name](w, weights)
    x = w.quantized(w.input("x", [1]), 0.5, 7)
    graph = same_meaning(w.model(w.quantized(w.node("Add", x, y, output="sum"), 1.0, 3)))
    format = graph.format("y")
    assert format is not None
    assert format.axis == {"transpose": 3, "unsqueeze": 2, "squeeze": 1}.get(name, 2)


def test_channels_that_are_cut_are_refused() -> None:
    w = ModelWriter()
    weights = w.dequantized(np.zeros((2, 4), int), f32([0.5, 0.25, 2, 1]), 0, name="k", axis=1)
    y = w.node("Reshape", weights, ints(w, -1), output="y")
    with pytest.raises(UnsupportedOp, match=r"node 'node_y' \(Reshape\): it breaks up axis 1 of 'k'"):
        load_graph(w.model(w.node("Add", w.input("x", [1]), y)))


def channels(w: ModelWriter, axis: int) -> str:
    """Activations of shape [N, 4, 4, 4] with a scale per index of the axis."""
    s, z = w.constant(f32([0.5, 0.25, 2, 1])), w.constant([1, 2, 3, 4], kind=TensorProto.UINT8)
    codes = w.node("QuantizeLinear", w.input("x", ["N", 4, 4, 4]), s, z, output="q", axis=axis)
    return w.node("DequantizeLinear", codes, s, z, axis=axis)


ACROSS: dict[str, Build] = {
    "reversed": lambda w, x: w.node("Slice", x, ints(w, -1), ints(w, -9), ints(w, 2), ints(w, -1), output="y"),
    "split": lambda w, x: w.node("Split", x, ints(w, 4), axis=2, output="y"),
    "padded": lambda w, x: w.node("Pad", x, ints(w, 0, 0, 1, 0, 0, 0, 0, 0), mode="edge", output="y"),
    "pooled": lambda w, x: w.node("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], output="y"),
    "resized": lambda w, x: w.node("Resize", x, "", w.constant(f32([1, 1, 2, 1])), output="y"),
    "reduced": lambda w, x: w.node("ReduceMax", x, ints(w, 2), output="y"),
}


@pytest.mark.parametrize("name", ACROSS)
def test_scales_of_activations_along_an_axis_that_moves(name: str) -> None:
    """Along another axis the op goes through; across the scales it is refused, unless it changes nothing."""
    w = ModelWriter()
    graph = same_meaning(w.model(w.node("Relu", ACROSS[name](w, channels(w, 1)))))
    assert graph.format("y") == graph.format("q")
    w = ModelWriter()
    model = w.model(ACROSS[name](w, channels(w, 2)))
    if name == "split":
        same_meaning(model)
    else:
        with pytest.raises(UnsupportedOp, match=r"(scales along|breaks up) axis 2"):
            load_graph(model)


def test_channels_that_become_pixels_have_one_scale() -> None:
    w = ModelWriter()
    with pytest.raises(UnsupportedOp, match=r"'node_y' \(DepthToSpace\): it breaks up axis 1"):
        load_graph(w.model(w.node("DepthToSpace", channels(w, 1), blocksize=2, output="y")))


@pytest.mark.parametrize("attributes", [{"blocksize": 0}, {"blocksize": 3}, {"blocksize": 2, "mode": "RDC"}])
def test_blocks_that_there_are_not(attributes: dict[str, Any]) -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", SHAPE), 0.5, 7)
    with pytest.raises(MalformedGraph, match=r"'node_y' \(DepthToSpace\)"):
        load_graph(w.model(w.node("DepthToSpace", x, output="y", **attributes)))


@pytest.mark.parametrize("sizes,outputs", [((1, 4), 2), ((), 2), ((), 3), ((5,), 1)], ids=str)
def test_split(sizes: Sequence[int], outputs: int) -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", SHAPE), 0.5, 7)
    inputs = [x, ints(w, *sizes)] if sizes else [x]
    attributes: dict[str, Any] = {} if sizes else {"num_outputs": outputs}
    parts = [w.node("Split", *inputs, output="y0", axis=-1, **attributes)]
    for i in range(1, outputs):
        w.nodes[-1].output.append(f"y{i}")
        parts.append(f"y{i}")
    ends = [w.quantized(part, 0.5 if i else 0.75, 7) for i, part in enumerate(parts)]
    graph = same_meaning(w.model(*ends))
    (node,) = [n for n in graph.nodes if n.op == "Split"]
    assert node.outputs == tuple(f"y{i}_q" for i in range(outputs))
    assert sum(node.attributes["sizes"]) == 5


def test_concat() -> None:
    w = ModelWriter()
    a = w.quantized(w.input("a", ["N", 2, 3]), 0.5, 7)
    b = w.quantized(w.input("b", ["N", 1, 3]), 0.25, -7, TensorProto.INT8)
    k = w.dequantized(np.ones((3, 3, 3), int), 0.125, 0, name="k")
    y = w.node("Concat", a, b, k, output="y", axis=-2)
    graph = same_meaning(w.model(w.quantized(y, 0.3, 9)))
    assert graph.nodes[2].attributes == {"axis": 1}


def test_concat_of_one_format_keeps_it() -> None:
    w = ModelWriter()
    a, b = (w.quantized(w.input(n, ["N", 2]), 0.5, 7) for n in "ab")
    y = w.node("Concat", a, b, output="y", axis=1)
    graph = same_meaning(w.model(w.quantized(w.node("Relu", y, output="r"), 0.3)))
    assert graph.format("y") == graph.format("a_q")


def test_concat_of_integers_reads_all_as_the_first() -> None:
    w = ModelWriter()
    s, t, z = w.constant(f32(0.5)), w.constant(f32(2)), w.constant(3, kind=TensorProto.UINT8)
    a = w.node("QuantizeLinear", w.input("a", ["N", 2]), s, z, output="qa")
    b = w.node("QuantizeLinear", w.input("b", ["N", 2]), t, z, output="qb")
    y = w.node("Concat", a, b, output="y", axis=1)
    graph = same_meaning(w.model(w.node("DequantizeLinear", y, s, z)))
    assert [n.op for n in graph.nodes].count("Reinterpret") == 1


def test_pad_of_integers() -> None:
    w = ModelWriter()
    s, z = w.constant(f32(0.5)), w.constant(3, kind=TensorProto.UINT8)
    q = w.node("QuantizeLinear", w.input("x", ["N", 2]), s, z, output="q")
    y = w.node("Pad", q, ints(w, 0, 1, 0, 1), w.constant(9, kind=TensorProto.UINT8), output="y")
    graph = same_meaning(w.model(w.node("DequantizeLinear", y, s, z)))
    assert graph.nodes[1].attributes["value"] == 3.0  # the real of code 9


def test_pad_with_a_value_between_codes_is_real() -> None:
    w = ModelWriter()
    x = w.quantized(w.input("x", ["N", 2]), 0.5, 7)
    y = w.node("Pad", x, ints(w, 0, 1, 0, 1), w.constant(f32(0.3)), output="y")
    graph = same_meaning(w.model(w.quantized(w.node("Relu", y, output="r"), 0.3)))
    assert graph.format("y") is None


def test_an_input_that_is_moved_first_is_quantized_first() -> None:
    w = ModelWriter()
    y = w.node("Transpose", w.input("x", ["N", 5, 4, 3]), output="y", perm=[0, 3, 1, 2])
    graph = same_meaning(w.model(w.quantized(y, 0.5, 7)))
    assert [n.op for n in graph.nodes] == ["QuantizeLinear", "Transpose", "DequantizeLinear"]


def test_a_moved_output_of_the_graph_is_real_and_has_codes() -> None:
    w = ModelWriter()
    y = w.node("Flatten", w.quantized(w.input("x", SHAPE), 0.5, 7), output="y")
    graph = same_meaning(w.model(y))
    assert [(n.op, n.outputs) for n in graph.nodes[1:]] == [("Flatten", ("y#codes",)), ("DequantizeLinear", ("y",))]


@pytest.mark.parametrize(
    "build,error,reason",
    [
        (lambda w, x: w.node("Reshape", fixed(w, 4, 5), ints(w, -1, 7)), MalformedGraph, "4x5: cannot be reshaped"),
        (lambda w, x: w.node("Reshape", fixed(w, 4, 5), ints(w, 4, 4)), MalformedGraph, "4x5: cannot be reshaped"),
        (lambda w, x: w.node("Reshape", x, ints(w, -1, -1)), MalformedGraph, "more than one -1"),
        (lambda w, x: w.node("Reshape", x, ints(w, 0, -3)), MalformedGraph, "negative length"),
        (lambda w, x: w.node("Reshape", x, ints(w, 0, 0, 0, 0, 0)), MalformedGraph, "copies axis 4"),
        (lambda w, x: w.node("Reshape", x, w.input("s", [2], TensorProto.INT64)), IntsimError, "int64"),
        (lambda w, x: w.node("Transpose", x, perm=[0, 1, 2]), MalformedGraph, "permutation of 4"),
        (lambda w, x: w.node("Squeeze", x, ints(w, 1)), MalformedGraph, "4 is not 1"),
        (lambda w, x: w.node("Squeeze", x), UnsupportedOp, "without axes, on unknown lengths"),
        (lambda w, x: w.node("Unsqueeze", x, ints(w, 7)), MalformedGraph, "axis 7 is outside"),
        (
            lambda w, x: w.node("Slice", x, ints(w, 0), ints(w, 1), ints(w, 1), ints(w, 0)),
            MalformedGraph,
            "no step be 0",
        ),
        (lambda w, x: w.node("Slice", x, ints(w, 3), ints(w, 1), ints(w, 1)), UnsupportedOp, "0 elements"),
        (lambda w, x: w.node("Split", x, ints(w, 1, 1), axis=1), MalformedGraph, "2 sizes for 1 outputs"),
        (lambda w, x: w.node("Split", x, ints(w, 3), axis=1), MalformedGraph, "4 is not 3"),
        (lambda w, x: w.node("Split", x, axis=0), UnsupportedOp, "length is unknown"),
        (lambda w, x: w.node("Pad", x, ints(w, 0, 0, 0, -1, 0, 0, 0, 0)), UnsupportedOp, "negative pads"),
        (lambda w, x: w.node("Pad", x, ints(w, 0, 0)), MalformedGraph, "pads must have 8"),
        (lambda w, x: w.node("Pad", x, ints(w, *[0] * 7, 2**40)), UnsupportedOp, "elements"),
        (lambda w, x: w.node("Pad", x, ints(w, *[0] * 7, 5), mode="reflect"), MalformedGraph, "cannot reflect 5"),
        (lambda w, x: w.node("Pad", x, ints(w, *[0] * 8), mode="wrap"), UnsupportedOp, "mode 'wrap'"),
        (lambda w, x: w.node("Resize", x, "", w.constant(f32([1] * 4)), mode="linear"), UnsupportedOp, "linear"),
        (lambda w, x: w.node("Resize", x, "", w.constant(f32([1] * 3))), MalformedGraph, "4 floats"),
        (lambda w, x: w.node("Resize", x, "", w.constant(f32([1, 1, 1, 1e20]))), UnsupportedOp, "elements"),
        (lambda w, x: w.node("Resize", x, "", w.constant(f32([1, 1, 1, -1]))), MalformedGraph, "positive"),
        (lambda w, x: w.node("Resize", x), MalformedGraph, "exactly one of scales and sizes"),
        (lambda w, x: w.node("Concat", x, x, axis=4), MalformedGraph, "axis 4 is outside"),
        (lambda w, x: w.node("Concat", x, w.input("b", ["N", 4, 6, 6]), axis=1), MalformedGraph, "along axis 3"),
    ],
)
def test_refused(build: Build, error: type[IntsimError], reason: str) -> None:
    w = ModelWriter()
    with pytest.raises(error, match=reason):
        load_graph(w.model(build(w, w.quantized(w.input("x", SHAPE), 0.5, 7))))


def test_sizes_of_an_unknown_batch() -> None:
    """torch's exporter computes the sizes of a Resize from the Shape of its input."""
    w = ModelWriter()
    x = w.quantized(w.input("x", SHAPE), 0.5, 7)
    start = w.node("Slice", w.node("Shape", x), ints(w, 0), ints(w, 2), ints(w, 0))
    sizes = w.node("Concat", start, ints(w, 12, 10), axis=0)
    y = w.node(
        "Resize", x, "", "", sizes, output="y", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )
    graph = load_graph(w.model(w.quantized(y, 0.5, 7)))
    assert graph.nodes[1].attributes["sizes"] == (0, 4, 12, 10)
    assert graph.values["y_q"].shape == (None, 4, 12, 10)
