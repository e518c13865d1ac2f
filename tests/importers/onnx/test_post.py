"""POST and POT weights: the functions of the domain ai.intsim become codes with levels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import intsim
from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.formats import Format
from intsim.importers import load_graph
from intsim.levels import Levels
from intsim.quantization.post import function
from intsim.target import TARGETS

Array = np.ndarray[Any, Any]
OPSET = 17


def call(codes: Array, alpha: Any, rule: str = "post", reader: str = "Conv", **attributes: Any) -> onnx.ModelProto:
    """A model of one layer with such weights: x f32 -> QuantizeLinear -> layer -> QuantizeLinear -> reals."""
    given = {"bits": 4, "guard_bits": 3, "table": "shared", **attributes}
    constants = {"codes": codes, "alpha": alpha, "s": np.float32(0.25), "t": np.float32(2.0), "z": np.int8(0)}
    name = {"post": "PostDequantizeLinear", "pot": "PotDequantizeLinear"}[rule]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node(name, ["codes", "alpha"], ["w"], "weights", domain="ai.intsim", **given),
        helper.make_node(reader, ["xd", "w"], ["r"], "layer"),
        helper.make_node("QuantizeLinear", ["r", "t", "z"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "t", "z"], ["y"]),
    ]
    shape = ["N", codes.shape[1], 5, 5] if reader == "Conv" else ["N", codes.shape[0]]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    return helper.make_model(
        graph,
        functions=[function(rule, OPSET)],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.intsim", 1)],
        ir_version=9,
    )


def some_codes(shape: tuple[int, ...], bits: int) -> Array:
    rng = np.random.default_rng(bits)
    return rng.choice([c for c in range(1 << bits) if c != 1 << (bits - 1)], shape).astype(np.uint8)


@pytest.mark.parametrize("rule", ["post", "pot"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_the_function_gives_every_level_in_onnxruntime(bits: int, rule: str) -> None:
    codes = np.array([c for c in range(1 << bits) if c != 1 << (bits - 1)], np.uint8).reshape(1, -1, 1, 1)
    alpha = np.float32(0.375)
    model = call(codes, alpha, rule, bits=bits)
    model.graph.output.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    reals = session.run(["w"], {"x": np.zeros((1, codes.size, 5, 5), np.float32)})[0]
    expected = Format(bits, False, False, (float(alpha),), (0,), None, Levels(rule, 3, "shared")).real(codes)
    np.testing.assert_array_equal(reals, expected)


@pytest.mark.parametrize("variant", ["shared", "full"])
def test_codes_alpha_and_table_are_recovered(variant: str) -> None:
    codes = some_codes((3, 2, 3, 3), 5)
    graph = load_graph(call(codes, np.float32(0.5), bits=5, guard_bits=7, table=variant))
    layer = next(n for n in graph.nodes if n.op == "Conv")
    assert graph.format(layer.inputs[1]) == Format(5, False, False, (0.5,), (0,), None, Levels("post", 7, variant))
    np.testing.assert_array_equal(graph.constants[layer.inputs[1]], codes)
    assert "weights" in layer.sources


def test_an_alpha_for_each_channel() -> None:
    alpha = np.array([0.5, 0.25, 2.0], np.float32).reshape(3, 1, 1, 1)
    graph = load_graph(call(some_codes((3, 2, 3, 3), 4), alpha))
    format = graph.format("codes")
    assert format is not None and (format.scale, format.axis) == ((0.5, 0.25, 2.0), 0)


@pytest.mark.parametrize("reader", ["Conv", "MatMul", "Gemm"])
@pytest.mark.parametrize("rule", ["post", "pot"])
@pytest.mark.parametrize("alpha", [0.5, [0.5, 0.25, 2.0]])
def test_such_a_layer_computes_the_real_one_rounded(rule: str, reader: str, alpha: Any) -> None:
    """With guard bits for every level the products of even exponents are exact, and the others half a unit off."""
    codes = some_codes((3, 2, 3, 3) if reader == "Conv" else (20, 3), 4)
    scale = np.array(alpha, np.float32)
    if scale.ndim:
        scale = scale.reshape((3, 1, 1, 1) if reader == "Conv" else (1, 3))
    model = call(codes, scale, rule, reader, guard_bits=12, table="full")
    x = np.random.default_rng(1).normal(0, 8, (4, 2, 5, 5) if reader == "Conv" else (4, 20)).astype(np.float32)
    loaded = intsim.load(model)
    assert loaded.target.name == "diffquant"
    assert loaded.lowered.layers[1].op == ("post_conv" if reader == "Conv" else "post_matmul")
    ours, spec = (loaded.run(x, engine=engine).outputs["y"].codes for engine in ("kernels", "spec"))
    np.testing.assert_array_equal(ours, spec)
    options = onnxruntime.SessionOptions()  # a fused 8-bit kernel may saturate sums in 16 bits
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"x": x})[0] / 2
    assert np.abs(ours - theirs).max() <= 1
    assert (ours == theirs).mean() > 0.9


def test_a_multiplier_target_takes_any_alpha() -> None:
    model = call(some_codes((3, 2, 3, 3), 4), np.float32(0.3))
    x = np.random.default_rng(1).normal(0, 8, (2, 2, 5, 5)).astype(np.float32)
    with pytest.raises(UnsupportedOp, match=r"node 'layer' \(Conv\): scale 0.3.* is not a power of two"):
        intsim.load(model, target="diffquant")
    loaded = intsim.load(model, target="tflite")
    np.testing.assert_array_equal(loaded.run(x).outputs["y"].codes, loaded.run(x, engine="spec").outputs["y"].codes)


def test_zero_points_are_always_subtracted_before() -> None:
    model = call(some_codes((3, 2, 3, 3), 4), np.float32(0.5))
    next(t for t in model.graph.initializer if t.name == "z").CopyFrom(
        numpy_helper.from_array(np.array(9, np.int8), "z")
    )
    x = np.random.default_rng(1).normal(0, 8, (2, 2, 5, 5)).astype(np.float32)
    after = replace(TARGETS["diffquant"], zeros_subtracted="after", overflow="saturate", accumulator_bits=14)
    before = replace(after, zeros_subtracted="before")
    results = [
        intsim.load(model, target=target).run(x, engine=engine).outputs["y"].codes
        for target in (after, before)
        for engine in ("kernels", "spec")
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_onnxruntime_multiplies_them_in_float() -> None:
    loaded = intsim.load(call(some_codes((3, 2, 3, 3), 4), np.float32(0.5)), target="onnxruntime")
    island = next(layer for layer in loaded.lowered.layers if layer.op == "island")
    assert "post weights" in island.note


def test_every_product_of_explain_is_looked_up() -> None:
    from intsim.comparison.explain import explain

    x = np.random.default_rng(1).normal(0, 8, (2, 2, 5, 5)).astype(np.float32)
    model = intsim.load(call(some_codes((3, 2, 3, 3), 4), np.float32(0.5)))
    told = explain(model, x, "yq", (1, 2, 1, 0))
    terms = told.steps[0].terms
    assert len(terms) == 18
    assert all(term["product"] == term["sign"] * term["T[m, x]"] for term in terms)
    assert all(step.engine == step.value for step in told.steps)


def test_the_proof_is_attained() -> None:
    """The input that drives each product to its end reaches the bound that was proved for the channel."""
    codes = some_codes((3, 2, 3, 3), 4)
    model = intsim.load(call(codes, np.float32(0.5)))
    layer = model.lowered.layers[1]
    bounds = model.bounds[layer.name]
    for channel in range(3):
        x = np.where(codes[channel] >= 8, -128, 127).astype(np.int8)[None]
        acc, _ = intsim.spec.post_conv(np.pad(x, ((0, 0), (0, 0), (0, 2), (0, 2))), **layer.parameters)
        assert int(acc[0, channel, 0, 0]) == bounds.high[channel]
        acc, _ = intsim.spec.post_conv(np.pad(-1 - x, ((0, 0), (0, 0), (0, 2), (0, 2))), **layer.parameters)
        assert int(acc[0, channel, 0, 0]) == bounds.low[channel]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"codes": np.array([[[[8]]]], np.uint8)}, MalformedGraph, "negative zero"),
        ({"codes": np.array([[[[16]]]], np.uint8)}, MalformedGraph, "within 0 to 15"),
        ({"bits": 9}, MalformedGraph, "bits must be 2 to 8"),
        ({"guard_bits": 13}, MalformedGraph, "guard_bits 0 to 12"),
        ({"table": "half"}, MalformedGraph, "table one of shared, full"),
        ({"alpha": np.float64(0.5)}, MalformedGraph, "alpha"),
        ({"alpha": np.ones((1, 1, 1, 5), np.float32)}, MalformedGraph, "alpha of shape"),
        ({"alpha": np.float32(-1.0)}, MalformedGraph, "scale must be positive"),
    ],
)
def test_refusals(changes: dict[str, Any], error: type[IntsimError], message: str) -> None:
    right: dict[str, Any] = {"codes": np.array([[[[5]]]], np.uint8), "alpha": np.float32(0.5)}
    with pytest.raises(error, match=message):
        load_graph(call(**{**right, **changes}))


def test_only_layers_read_them() -> None:
    model = call(np.array([[[[5]]]], np.uint8), np.float32(0.5))
    model.graph.node[3].op_type = "Add"
    with pytest.raises(UnsupportedOp, match=r"'layer' \(Add\).*weights of Conv, Gemm, MatMul"):
        load_graph(model)


def test_bits_of_levels_cannot_be_changed() -> None:
    model = intsim.load(call(some_codes((3, 2, 3, 3), 4), np.float32(0.5)))
    with pytest.raises(IntsimError, match="post weights"):
        model.with_formats({"layer": {"bits": 3}})
