"""The writer of POST and POT models: alpha, nearest levels, aligned biases, and the demo's network end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import intsim
from intsim import demo
from intsim.errors import UnsupportedOp, UnusableInput
from intsim.formats import Format
from intsim.levels import Levels
from intsim.quantization.post import best_alpha, nearest, post_model, squared_error

Array = np.ndarray[Any, Any]
POST = Levels("post", 4, "shared")


@pytest.fixture(scope="module")
def quantized() -> onnx.ModelProto:
    return onnx.load(demo.quantized_model())


@pytest.fixture(scope="module")
def images() -> Array:
    return np.asarray(np.load(demo.images())["x"])


@pytest.mark.parametrize("rule", ["post", "pot"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_no_level_is_nearer(bits: int, rule: str) -> None:
    levels, alpha = Levels(rule, 0, "full"), 0.25
    reals = np.random.default_rng(bits).normal(0, 0.2, 400).astype(np.float32)
    codes = nearest(reals, alpha, bits, levels)
    Format(bits, False, False, (alpha,), (0,), None, levels).check(codes, "codes")
    every = np.array([c for c in range(1 << bits) if c != 1 << (bits - 1)])
    distances = np.abs(reals[:, None].astype(np.float64) - alpha * levels.reals(every, bits).astype(np.float64))
    own = np.abs(reals - alpha * levels.reals(codes, bits).astype(np.float64))
    np.testing.assert_array_equal(own, distances.min(axis=1))


def test_a_tie_goes_to_the_smaller_magnitude() -> None:
    levels = Levels("pot", 0, "full")  # 0, 1, 1/2 … 1/64
    np.testing.assert_array_equal(nearest(np.array([0.75, -0.75, 0.0, 1 / 128]), 1.0, 4, levels), [2, 10, 0, 0])


def test_alpha_is_the_best_power_of_two() -> None:
    reals = np.random.default_rng(3).normal(0, 0.1, (8, 8, 3, 3)).astype(np.float32)
    alpha = best_alpha(reals, 4, POST)
    errors = {e: squared_error(reals, 2.0**e, 4, POST) for e in range(-12, 6)}
    assert alpha == 2.0 ** min(errors, key=lambda e: errors[e])
    assert best_alpha(np.zeros((2, 2), np.float32), 4, POST) == 1.0


@pytest.mark.parametrize("bits", [3, 4])
@pytest.mark.parametrize("rule", ["post", "pot"])
@pytest.mark.parametrize("variant", ["shared", "full"])
def test_the_demo_end_to_end(quantized: onnx.ModelProto, images: Array, bits: int, rule: str, variant: str) -> None:
    result = post_model(quantized, bits=bits, levels=Levels(rule, 4, variant))
    onnx.checker.check_model(result.model)
    model = intsim.load(result.model)
    ops = [layer.op for layer in model.lowered.layers if layer.op in ("conv", "matmul", "post_conv", "post_matmul")]
    assert ops[0] == "conv" and ops[-1] in ("conv", "matmul")
    assert set(ops[1:-1]) == {"post_conv"}
    assert all(bounds.cannot_overflow for bounds in model.bounds.values())
    kernels, spec = (model.run(images[:4], taps=["codes", "accumulator"], engine=e) for e in ("kernels", "spec"))
    for name, tap in kernels.taps.items():
        np.testing.assert_array_equal(tap.codes, spec.taps[name].codes)
    session = onnxruntime.InferenceSession(result.model.SerializeToString(), providers=["CPUExecutionProvider"])
    reals = images[:200].astype(np.float32) / 128
    theirs = session.run(None, {session.get_inputs()[0].name: reals})[0]
    ours = next(iter(model.run(images[:200]).outputs.values())).real
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.9


def test_a_bias_is_in_units_of_the_sums(quantized: onnx.ModelProto) -> None:
    before, after = (intsim.load(m) for m in (quantized, post_model(quantized, bits=4, levels=POST).model))
    for old, new in zip(before.lowered.layers, after.lowered.layers, strict=True):
        if new.op != "post_conv":
            continue
        coarse, fine = before.lowered.values[old.outputs[0]], after.lowered.values[new.outputs[0]]
        assert coarse is not None and fine is not None
        error = np.abs(old.parameters["bias"] * coarse.scale[0] - new.parameters["bias"] * fine.scale[0])
        assert error.max() <= fine.scale[0] / 2


def test_layers_to_keep_and_better_known_weights(quantized: onnx.ModelProto) -> None:
    layers = [n for n in quantized.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    names = [n.name for n in layers]
    result = post_model(quantized, bits=4, levels=POST, keep=names[1:])
    assert [row.node for row in result.rows] == names[:1]
    zeros = np.zeros_like(
        intsim.load(quantized).graph.constants[f"{layers[0].input[1].removesuffix('.dequantized')}.codes"]
    )
    changed = post_model(quantized, bits=4, levels=POST, keep=names[1:], weights={names[0]: zeros.astype(np.float32)})
    assert changed.rows[0].mse == 0.0


def test_refusals(quantized: onnx.ModelProto) -> None:
    with pytest.raises(UnusableInput, match="bits must be 2 to 8, not 9"):
        post_model(quantized, bits=9, levels=POST)
    old = onnx.ModelProto()
    old.CopyFrom(quantized)
    old.opset_import[0].version = 12
    with pytest.raises(UnsupportedOp, match="opset 12"):
        post_model(old, bits=4, levels=POST)


def test_what_differs_from_float_has_a_cause(quantized: onnx.ModelProto, images: Array) -> None:
    """Layer by layer on ONNX Runtime's own codes: table rounding and ties, and nothing unexplained."""
    model = intsim.load(post_model(quantized, bits=4, levels=POST).model)
    found = intsim.compare(model, "onnxruntime", images[:16].astype(np.float32) / 128, isolated=True)
    layers = {layer.name: layer for layer in found.layers}
    assert layers["stage1.bn1.codes"].causes["table rounding"] > 0
    assert "table rounding" not in layers["stem_bn.codes"].causes
    assert set(found.causes) <= {"table rounding", "tie", "float rounding"}
