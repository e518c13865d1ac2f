from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest

import intsim
from intsim.comparison.explain import Explanation, explain
from intsim.comparison.explain.float32 import fma, to_float32
from intsim.comparison.explain.quotient import describe
from intsim.errors import UnsupportedOp, UnusableInput
from intsim.formats import ROUNDINGS
from intsim.model import Model
from intsim.quantization import quantize_model
from intsim.target import Target
from tests.cli.small_model import small_images, small_model, small_reals
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.small import small, small_input

Array = np.ndarray[Any, Any]

COUNT = 3
"""Elements that are explained of each tensor."""

GRAPHS = (
    "conv_groups",
    "conv_dilations",
    "conv_asymmetric_pads",
    "conv_1d_everything",
    "gemm",
    "matmul_of_two",
    "add_constant",
    "mul_constant",
    "excitation",
    "concat_last_axis",
    "clip_inside",
    "leaky_relu",
    "prelu",
    "max_pool_ceil",
    "max_pool_dilations",
    "average_pool_pads",
    "average_pool_include_pad",
    "average_pool_ceil",
    "average_pool_whole",
    "global_average_pool",
    "pad_value",
    "pad_reflect",
    "reshape",
    "slice_backwards",
    "split",
    "transpose",
    "resize_nearest_half_pixel",
)


@functools.cache
def hand_made(target: str = "auto", scale: float = 2.0**-5) -> Model:
    return intsim.load(small_model(scale), target)


def check_every_tensor(model: Model, x: Array) -> int:
    """Explain elements of every tensor and accumulator; each must be what the engine computed. How many were equal."""
    taps = model.run(x, taps=["codes", "accumulator"]).taps
    random, equal = np.random.default_rng(5), 0
    for name, tap in taps.items():
        for values, tensor in ((tap.codes, name), (tap.accumulator, f"{name}#accumulator")):
            for _ in range(COUNT if values is not None else 0):
                assert values is not None
                at = tuple(int(random.integers(0, length)) for length in values.shape)
                try:
                    explanation = explain(model, x, tensor, at)
                except UnsupportedOp:
                    continue
                assert explanation.value == values[at], (tensor, at)
                assert explanation.equal and all(step.engine == step.value for step in explanation.steps), (tensor, at)
                equal += 1
    return equal


# onnxruntime runs conv1 and sub1 in float32, so that two tensors have no integer steps, and conv1 no accumulator.
@pytest.mark.parametrize(("target", "tensors"), [("diffquant", 14 + 3), ("onnxruntime", 12 + 2)])
def test_every_tensor_of_a_network_by_hand(target: str, tensors: int) -> None:
    assert check_every_tensor(hand_made(target), small_reals(3)) == COUNT * tensors


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_accumulators_that_are_too_narrow(overflow: str) -> None:
    model = hand_made("diffquant").with_target(Target("narrow", accumulator_bits=13, overflow=overflow))
    x = small_reals(2)
    assert sum(model.run(x).overflows.values()) > 0
    assert check_every_tensor(model, x) == COUNT * (14 + 3)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_rule(rounding: str) -> None:
    model = hand_made("diffquant").with_target(Target("other", rounding=rounding))
    assert check_every_tensor(model, small_reals(2)) == COUNT * (14 + 3)


@pytest.mark.parametrize("name", GRAPHS)
def test_networks_that_onnxruntime_quantized(name: str) -> None:
    x = small_input(name)
    configuration = CONFIGURATIONS["qdq-u8-asymmetric-channel"]
    model = intsim.load(quantize(preprocess(small(name)), configuration, x), "onnxruntime")
    assert check_every_tensor(model, x) >= 2 * COUNT


@pytest.mark.parametrize("name", GRAPHS)
def test_networks_that_intsim_quantized(name: str) -> None:
    x = small_input(name)
    assert check_every_tensor(intsim.load(quantize_model(small(name), x).model), x) >= 2 * COUNT


def test_what_a_convolution_step_says() -> None:
    x = small_images(2)
    explanation = explain(hand_made(), x, "conv1_q", (1, 3, 0, 5))
    acc, rounded, clamp = explanation.steps
    assert [step.op for step in explanation.steps] == ["conv", "requantize", "clip"]
    assert len(acc.terms) == 2 * 3 * 3
    padding = [term for term in acc.terms if term["input"] == "padding"]
    assert len(padding) == 2 * 3 and all(term["product"] == 0 for term in padding)
    inside = next(term for term in acc.terms if term["input"] != "padding")
    assert inside["x"] == x[tuple(inside["input"])]
    assert acc.terms[-1]["sum"] == sum(term["product"] for term in acc.terms)
    lines = {line.name: line.value for line in acc.lines}
    assert lines["accumulator"] == lines["sum of products"] + lines["bias"]
    assert [read.tensor for read in rounded.reads] == ["conv1_q#accumulator"]
    assert clamp.value == max(rounded.value, 0) == explanation.value
    assert (explanation.node, explanation.op, explanation.at) == ("node_conv1", "Conv", (1, 3, 0, 5))


def test_what_other_rules_would_give() -> None:
    explanation = explain(hand_made(), small_reals(4), "conv1_q", (3, 3, 3, 5))
    rounded = explanation.steps[1]
    lines = {line.name: line for line in rounded.lines}
    assert "a tie; half_up" in lines["rounded"].how
    up = {rule for rule, code in rounded.rules.items() if code == rounded.value}
    assert up == {"half_up", "half_away", "ceil", "away_from_zero"} | (
        {"half_even"} if rounded.value % 2 == 0 else set()
    )


def test_an_input_that_was_given_has_no_steps() -> None:
    x = small_images(2)
    explanation = explain(hand_made(), x, "image", (1, 1, 2, 3))
    assert (explanation.steps, explanation.value, explanation.tensor) == ((), x[1, 1, 2, 3], "image_q")


def test_an_output_is_known_by_its_own_name() -> None:
    x = small_reals(2)
    assert explain(hand_made(), x, "logits", (1, 2)).value == hand_made().run(x).outputs["logits"].values[1, 2]


def test_a_fixed_batch_is_counted_on() -> None:
    fixed = small_model()
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    fixed.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    x = small_reals(4)
    del fixed.graph.value_info[:]
    model = intsim.load(onnx.shape_inference.infer_shapes(fixed))
    explanation = explain(model, x, "conv2_q", (3, 1, 2, 2))
    assert explanation.equal
    assert explanation.value == hand_made().run(x, taps=["codes@conv2_q"]).taps["conv2_q"].codes[3, 1, 2, 2]  # type: ignore[index]
    assert all(term["input"] == "padding" or term["input"][0] == 3 for term in explanation.steps[0].terms)


def test_a_wrong_engine_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Model.run

    def wrong(self: Model, *args: Any, **kwargs: Any) -> Any:
        result = run(self, *args, **kwargs)
        for name, tap in result.taps.items():
            if name == "conv2_q":
                tap.codes.flat[:] += 1  # type: ignore[union-attr]
        return result

    monkeypatch.setattr(Model, "run", wrong)
    explanation = explain(hand_made(), small_reals(1), "conv2_q", (0, 1, 2, 2))
    assert not explanation.equal
    assert [step.equal for step in explanation.steps] == [True, False]


@pytest.mark.parametrize(
    ("tensor", "at", "message"),
    [
        ("nothing", (0,), "tensor 'nothing': there is none, by tensor or by node; there are"),
        ("conv1_q", (0, 0, 0), "index 0,0,0: must be inside the shape [N, 4, 8, 8] of tensor 'conv1_q'"),
        ("conv1_q", (0, 4, 0, 0), "index 0,4,0,0: must be inside"),
        ("conv1_q", (0, 0, 0, -1), "index 0,0,0,-1: must be inside"),
        ("conv1_q", (2, 0, 0, 0), "index 2,0,0,0: tensor 'conv1_q' has 2 rows"),
        ("conv1_q", (-1, 0, 0, 0), "index -1,0,0,0: tensor 'conv1_q' has 2 rows"),
        ("conv1_q", (), "index : must be inside"),
    ],
)
def test_what_cannot_be_asked_for(tensor: str, at: tuple[int, ...], message: str) -> None:
    with pytest.raises(UnusableInput) as refused:
        explain(hand_made(), small_reals(2), tensor, at)
    assert str(refused.value).startswith(message)


def test_float_arithmetic_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match=r"node 'node_conv1_relu': the target computes it in float32"):
        explain(hand_made("onnxruntime", 0.03), small_reals(1), "conv1_q", (0, 0, 0, 0))


@pytest.mark.parametrize(
    ("n", "d", "text"),
    [
        (6, 3, "6 / 3 = 2 exactly"),
        (-7, 2, "-7 / 2 = -4 + 1/2, a tie"),
        (5, 3, "5 / 3 = 1 + 2/3, above the middle"),
        (-5, 3, "-5 / 3 = -2 + 1/3, below the middle"),
    ],
)
def test_quotients_in_words(n: int, d: int, text: str) -> None:
    assert describe(n, d) == text


def test_float32_is_rounded_once() -> None:
    one, tiny = np.float32(1), np.float32(2.0**-24)
    assert fma(one, one, tiny) == one  # a tie, to even
    assert fma(one, one, np.nextafter(tiny, one)) == np.nextafter(one, np.float32(2))
    # (1 + 2**-12)**2 = 1 + 2**-11 + 2**-24 is a tie, to even; rounded to float64 first, what is above it were one too.
    root, up = np.float32(1 + 2.0**-12), np.float32(1 + 2.0**-11 + 2.0**-23)
    assert fma(root, root, np.float32(0)) == np.float32(1 + 2.0**-11)
    assert fma(root, root, np.float32(2.0**-60)) == up
    assert fma(np.float32(1 + 2.0**-23), np.float32(1 - 2.0**-23), np.float32(0)) == one
    random = np.random.default_rng(8)
    for a, b in random.standard_normal((200, 2)).astype(np.float32):
        assert fma(a, b, np.float32(0)) == a * b
        assert fma(a, one, b) == a + b
    assert to_float32(Fraction(2) ** 200) == np.inf
    assert to_float32(Fraction(1, 2**149) * Fraction(3, 2)) == np.float32(2 * 2.0**-149)


def test_the_json_form_is_plain() -> None:
    import json

    explanation: Explanation = explain(hand_made("onnxruntime"), small_reals(1), "add1_q", (0, 1, 1, 1))
    document = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert {"tensor", "index", "target", "node", "op", "format", "value", "equal", "steps"} == document.keys()
    assert document["steps"][0]["rules"].keys() == set(ROUNDINGS)
