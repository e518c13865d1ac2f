"""Shape rules against what NumPy does and against ONNX's own shape inference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from intsim.errors import MalformedGraph
from intsim.ops import OPS, Shape, output_shapes, window_length

Call = tuple[str, dict[str, Any], list[tuple[int, ...]]]
"""An op, its attributes, its input shapes."""

LENGTHS = st.integers(1, 6)


@st.composite
def shapes(draw: st.DrawFn, least: int = 0, most: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(LENGTHS, min_size=least, max_size=most)))


@st.composite
def broadcast_calls(draw: st.DrawFn) -> Call:
    """Two shapes that often broadcast: the second is the first with lengths set to 1 and axes cut off."""
    a = draw(shapes())
    b = tuple(draw(st.sampled_from([n, 1, n, 2])) for n in a)[draw(st.integers(0, 4)) :]
    pair = [a, b] if draw(st.booleans()) else [b, a]
    return draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Min", "Max"])), {}, pair


@st.composite
def matmul_calls(draw: st.DrawFn) -> Call:
    a = draw(shapes(1, 4))
    inner = draw(st.sampled_from([a[-1], a[-1], 3]))
    b = draw(st.sampled_from([(inner,), (inner, 2), (*a[:-2], inner, 2), (1, inner, 4), (*a[:-1], inner, 5)]))
    return "MatMul", {}, [a, b]


@st.composite
def concat_calls(draw: st.DrawFn) -> Call:
    first = draw(shapes(1, 4))
    axis = draw(st.integers(0, len(first) - 1))
    others = [(*first[:axis], draw(LENGTHS), *first[axis + 1 :]) for _ in range(draw(st.integers(0, 2)))]
    wrong = draw(st.sampled_from([[], [], [draw(shapes(1, 4))]]))
    return "Concat", {"axis": axis}, [first, *others, *wrong]


@st.composite
def reshape_calls(draw: st.DrawFn) -> Call:
    x = draw(shapes(1, 4))
    target = list(draw(st.permutations(x)))
    if draw(st.booleans()):
        target = [math.prod(target[:2]), *target[2:]]
    if draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    for i in range(len(target)):
        if i < len(x) and target[i] == x[i] and draw(st.booleans()):
            target[i] = 0
    if draw(st.integers(0, 4)) == 0:
        target.append(draw(st.integers(-1, 3)))
    return "Reshape", {"shape": tuple(target)}, [x]


@st.composite
def slice_calls(draw: st.DrawFn) -> Call:
    x = draw(shapes(1, 4))
    axes = draw(st.lists(st.integers(0, len(x) - 1), unique=True, max_size=len(x)))
    bounds = st.one_of(st.integers(-8, 8), st.sampled_from([2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]))
    steps = st.sampled_from([1, 2, 3, -1, -2])
    return (
        "Slice",
        {
            "axes": tuple(axes),
            "starts": tuple(draw(bounds) for _ in axes),
            "ends": tuple(draw(bounds) for _ in axes),
            "steps": tuple(draw(steps) for _ in axes),
        },
        [x],
    )


@st.composite
def movement_calls(draw: st.DrawFn) -> Call:
    x = draw(shapes(1, 4))
    rank = len(x)
    op = draw(st.sampled_from(["Transpose", "Flatten", "Squeeze", "Unsqueeze", "Split", "Pad", "ReduceMean", "Resize"]))
    match op:
        case "Transpose":
            return op, {"perm": tuple(draw(st.permutations(range(rank))))}, [x]
        case "Flatten":
            return op, {"axis": draw(st.integers(0, rank))}, [x]
        case "Squeeze":
            return op, {"axes": tuple(i for i, n in enumerate(x) if n == 1)}, [x]
        case "Unsqueeze":
            return op, {"axes": tuple(draw(st.lists(st.integers(0, rank), unique=True, min_size=1, max_size=1)))}, [x]
        case "Split":
            axis = draw(st.integers(0, rank - 1))
            cut = draw(st.integers(0, x[axis]))
            return op, {"axis": axis, "sizes": (cut, x[axis] - cut)}, [x]
        case "Pad":
            pads = tuple(draw(st.integers(0, 3)) for _ in range(2 * rank))
            return op, {"mode": "constant", "pads": pads}, [x]
        case "ReduceMean":
            axes = draw(st.lists(st.integers(0, rank - 1), unique=True, min_size=1))
            return op, {"axes": tuple(axes), "keepdims": draw(st.booleans())}, [x]
    scales = tuple(draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 0.7])) for _ in x)
    return "Resize", {"scales": scales, "sizes": None}, [x]


@st.composite
def window_calls(draw: st.DrawFn) -> Call:
    """Conv, MaxPool and AveragePool in one and two dimensions."""
    n = draw(st.integers(1, 2))

    def numbers(low: int, high: int, count: int = n) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(count))

    kernel, dilations = numbers(1, 3), numbers(1, 2)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = tuple(draw(st.integers(0, extents[i % n] - 1)) for i in range(2 * n))
    spatial = tuple(draw(st.integers(e, 12)) for e in extents)
    attributes: dict[str, Any] = {"strides": numbers(1, 3), "dilations": dilations, "pads": pads}
    op = draw(st.sampled_from(["Conv", "MaxPool", "AveragePool"]))
    if op == "Conv":
        groups, depth, filters = draw(st.integers(1, 3)), draw(LENGTHS), draw(LENGTHS)
        x, w = (2, groups * depth, *spatial), (filters * groups, depth, *kernel)
        return op, {**attributes, "groups": groups}, [x, w, *draw(st.sampled_from([[], [w[:1]]]))]
    return op, {**attributes, "kernel": kernel, "ceil_mode": False}, [(2, 3, *spatial)]


MOVES = movement_calls().filter(lambda call: call[0] != "Resize")
RESIZES = movement_calls().filter(lambda call: call[0] == "Resize")


def numpy_shapes(op: str, attributes: dict[str, Any], inputs: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The shapes of what NumPy computes; ValueError where it cannot."""
    arrays = [np.zeros(s, np.int8) for s in inputs]
    x = arrays[0]
    match op:
        case "MatMul":
            return [np.matmul(*arrays).shape]
        case "Concat":
            return [np.concatenate(arrays, attributes["axis"]).shape]
        case "Reshape":
            if any(n == 0 and i >= x.ndim for i, n in enumerate(attributes["shape"])):
                raise ValueError("copies an axis that is not there")
            return [x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(attributes["shape"])]).shape]
        case "Slice":
            index = [slice(None)] * x.ndim
            for i, axis in enumerate(attributes["axes"]):
                start, end, step = (attributes[k][i] for k in ("starts", "ends", "steps"))
                if step < 0:
                    # ONNX clamps a start below the axis to index 0; "down to and with index 0" is None for NumPy.
                    start, end = max(start, -x.shape[axis]), None if end < -x.shape[axis] else end
                index[axis] = slice(start, end, step)
            return [x[tuple(index)].shape]
        case "Transpose":
            return [x.transpose(attributes["perm"]).shape]
        case "Split":
            return [a.shape for a in np.split(x, [attributes["sizes"][0]], attributes["axis"])]
        case "Pad":
            pads = attributes["pads"]
            return [np.pad(x, list(zip(pads[: x.ndim], pads[x.ndim :], strict=True))).shape]
        case "ReduceMean":
            return [x.mean(attributes["axes"], keepdims=attributes["keepdims"]).shape]
        case "Squeeze":
            return [x.squeeze(attributes["axes"]).shape]
        case "Unsqueeze":
            return [np.expand_dims(x, attributes["axes"]).shape]
        case "Flatten":
            return [(math.prod(x.shape[: attributes["axis"]]), math.prod(x.shape[attributes["axis"] :]))]
    return [np.broadcast_shapes(*inputs)]


@given(st.one_of(broadcast_calls(), matmul_calls(), concat_calls(), reshape_calls(), slice_calls(), MOVES))
def test_shapes_are_those_of_numpy(call: Call) -> None:
    """Where NumPy refuses, so does the rule."""
    op, attributes, inputs = call
    try:
        expected = numpy_shapes(op, attributes, inputs)
    except ValueError:
        with pytest.raises(MalformedGraph, match=rf"node 'n' \({op}\) with input shapes"):
            output_shapes(op, attributes, inputs, "n")
    else:
        assert list(output_shapes(op, attributes, inputs, "n")) == expected


RENAMED = {"groups": "group", "kernel": "kernel_shape"}


def onnx_shapes(op: str, attributes: dict[str, Any], inputs: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What ONNX's shape inference says."""
    given: dict[str, Any] = {
        RENAMED.get(k, k): int(v) if isinstance(v, bool) else v for k, v in attributes.items() if v is not None
    }
    constants = []
    names = [f"x{i}" for i in range(len(inputs))]
    for key in {"Resize": ["scales"], "Reshape": ["shape"], "Slice": ["starts", "ends", "axes", "steps"]}.get(op, []):
        array = np.array(given.pop(key), np.float32 if key == "scales" else np.int64)
        constants.append(onnx.numpy_helper.from_array(array, key))
        names += ["", key] if key == "scales" else [key]
    node = helper.make_node(op, names, ["y"], **given)
    values = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, s) for i, s in enumerate(inputs)]
    graph = helper.make_graph([node], "g", values, [onnx.ValueInfoProto(name="y")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return [tuple(d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim)]


@given(st.one_of(window_calls(), RESIZES, slice_calls(), broadcast_calls()))
def test_shapes_are_those_of_onnx(call: Call) -> None:
    op, attributes, inputs = call
    try:
        mine = list(output_shapes(op, attributes, inputs, "n"))
    except MalformedGraph:
        return  # ONNX's inference lets pass what NumPy refuses: the test above
    assert mine == onnx_shapes(op, attributes, inputs)


def test_windows_with_ceil_mode_are_those_of_onnx_runtime() -> None:
    """ONNX's text drops a last window that starts after the data, as a runtime does; its shape inference does not."""
    ort = pytest.importorskip("onnxruntime")
    for length, kernel, stride, dilation in itertools.product((1, 2, 5, 6), (1, 2, 3), (1, 2, 3), (1, 2)):
        for begin, end in itertools.product(range(kernel), repeat=2):
            attributes: dict[str, Any] = {
                "kernel_shape": [kernel],
                "strides": [stride],
                "dilations": [dilation],
                "pads": [begin, end],
                "ceil_mode": 1,
            }
            if length + begin + end < dilation * (kernel - 1) + 1:
                continue
            node = helper.make_node("MaxPool", ["x"], ["y"], **attributes)
            x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, length])
            graph = helper.make_graph([node], "g", [x], [onnx.ValueInfoProto(name="y")])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
            session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            (y,) = session.run(None, {"x": np.zeros((1, 1, length), np.float32)})
            assert window_length(length, kernel, stride, dilation, begin, end, True) == y.shape[2]


@given(
    st.one_of(
        broadcast_calls(),
        matmul_calls(),
        concat_calls(),
        reshape_calls(),
        slice_calls(),
        movement_calls(),
        window_calls(),
    ),
    st.data(),
)
def test_unknown_lengths_are_never_wrong(call: Call, data: st.DataObject) -> None:
    """With some lengths hidden, each length of the result is the true one, or one that is named truly, or unknown."""
    op, attributes, inputs = call
    try:
        expected = output_shapes(op, attributes, inputs, "n")
    except MalformedGraph:
        return
    hide = st.sampled_from([True, False]) if op != "Conv" else st.just(False)
    hidden: list[Shape] = [
        tuple(data.draw(st.sampled_from([None, f"n{n}"])) if data.draw(hide) else n for n in s) for s in inputs
    ]
    if op == "Conv":
        hidden[0] = tuple(f"n{n}" if data.draw(st.booleans()) else n for n in inputs[0])
    for true, result in zip(expected, output_shapes(op, attributes, hidden, "n"), strict=True):
        assert len(true) == len(result)
        for n, m in zip(true, result, strict=True):
            assert m in (n, None, f"n{n}")


@pytest.mark.parametrize(
    "op,attributes,inputs,expected",
    [
        ("Reshape", {"shape": (-1, 20)}, [("N", 4, 5)], ("N", 20)),
        ("Reshape", {"shape": (0, -1)}, [("N", 4, 5)], ("N", 20)),
        ("Reshape", {"shape": ("N", -1)}, [("N", 4, 5)], ("N", 20)),
        ("Reshape", {"shape": (-1, 4)}, [("N", 2)], (None, 4)),
        ("Flatten", {"axis": 1}, [("N", 4, 5)], ("N", 20)),
        ("Flatten", {"axis": 0}, [("N", 4, 5)], (1, None)),
        ("Add", {}, [("N", 1), ("N", 3)], ("N", 3)),
        ("Add", {}, [("N", 3), (1, 1)], ("N", 3)),
        ("Add", {}, [("N",), ("M",)], (None,)),
        ("Add", {}, [("N",), (7,)], (7,)),
        ("Concat", {"axis": 1}, [("N", 2), ("N", 3)], ("N", 5)),
        ("Resize", {"sizes": (0, 8)}, [("N", 4)], ("N", 8)),
        ("Resize", {"scales": (1.0, 2.0)}, [("N", 4)], ("N", 8)),
        ("GlobalAveragePool", {}, [("N", 4, "H", 5)], ("N", 4, 1, 1)),
        ("Gemm", {}, [("N", 4), (4, 5), (5,)], ("N", 5)),
        ("BatchNormalization", {}, [("N", 4, 3), *[(4,)] * 4], ("N", 4, 3)),
        ("PRelu", {}, [("N", 4, 3), (4, 1)], ("N", 4, 3)),
        ("Softmax", {"axis": -1}, [("N", 4)], ("N", 4)),
    ],
)
def test_unknown_lengths_stay_named(op: str, attributes: dict[str, Any], inputs: list[Shape], expected: Shape) -> None:
    assert output_shapes(op, attributes, inputs, "n") == (expected,)


POOL = {"kernel": (2,), "strides": (1,), "dilations": (1,), "pads": (0, 0)}


@pytest.mark.parametrize(
    "op,attributes,inputs,message",
    [
        ("Relu", {}, [(2,), (2,)], "takes 1 to 1 inputs, not 2"),
        ("Concat", {"axis": 0}, [], "takes 1 or more inputs, not 0"),
        ("Add", {}, [("N", 3), (4,)], r"input shapes \?x3, 4: lengths 3 and 4 do not broadcast"),
        ("Gemm", {}, [(2, 3), (3, 4), (5,)], "do not broadcast"),
        ("Gemm", {}, [(2, 3), (3, 4), (2, 1, 1)], "c of shape 2x1x1 does not broadcast to 2x4"),
        ("Gemm", {}, [(1, 3), (3, 4), (2, 4)], "c of shape 2x4 does not broadcast to 1x4"),
        ("PRelu", {}, [(2, 1), (3,)], "slope of shape 3 does not broadcast to x"),
        ("MaxPool", POOL, [(1, 1, 1)], r"a window of 2 does not fit into 1 \+ 0 \+ 0 of padding"),
        ("MaxPool", POOL, [(1, 1, 1, 1)], "must be given for 2 axes"),
        ("Transpose", {"perm": (0, 0)}, [(2, 3)], r"perm \(0, 0\) is not a permutation of 2 axes"),
        ("Squeeze", {"axes": (0,)}, [(2, 3)], "length of axis 0, which is squeezed: 2 is not 1"),
        ("ReduceMean", {"axes": (0, -2), "keepdims": True}, [(2, 3)], "repeat one"),
        ("Softmax", {"axis": 2}, [(2, 3)], "axis 2 is outside a tensor of rank 2"),
        ("Split", {"axis": 0, "sizes": (1, 2)}, [(2, 3)], "length of axis 0, sum of the sizes: 2 is not 3"),
        ("Split", {"axis": 0, "sizes": (-1, 3)}, [(2, 3)], "negative length"),
        (
            "BatchNormalization",
            {},
            [(2, 3), (3,), (3,), (3,), (4,)],
            "channels of x: 4 is not 3",
        ),
    ],
)
def test_what_does_not_fit(op: str, attributes: dict[str, Any], inputs: list[Shape], message: str) -> None:
    with pytest.raises(MalformedGraph, match=rf"node 'n' \({op}\).*{message}"):
        output_shapes(op, attributes, inputs, "n")


def test_names_and_arities() -> None:
    assert all(name == op.name for name, op in OPS.items())
    assert all(op.most is None or op.least <= op.most for op in OPS.values())
    rules: dict[str, Callable[..., Any]] = {name: op.rule for name, op in OPS.items()}
    assert {"Conv", "QuantizeLinear", "Requantize", "Reinterpret", "CodeClip"} <= rules.keys()
