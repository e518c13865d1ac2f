from __future__ import annotations

import json
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from intsim.comparison.ort_session import OrtSession
from intsim.errors import OutOfDomain, UnusableInput
from intsim.quantization import QuantizationResult, TensorReport, post_training, quantize_model
from intsim.quantization.bias import METADATA
from tests.models.builder import Builder
from tests.quantization.networks import images, initializers, kernels, residual, run, several, single

Array = np.ndarray[Any, Any]
Tie = Callable[[Array, int], Array]

CALIBRATION = images(40)
OTHER = images(64, seed=1)


@cache
def quantized(bits: int = 8, momentum: float = 0.1, batch: int = 8) -> QuantizationResult:
    return quantize_model(residual(), CALIBRATION, bits=bits, momentum=momentum, batch=batch)


def row(result: QuantizationResult, tensor: str) -> TensorReport:
    return next(r for r in result.rows if r.tensor == tensor)


# An integer model of its own, from the papers' formulas: no code of intsim's spec, lowering or kernels.


def half_up(a: Array, s: int) -> Array:
    return (a + (1 << (s - 1))) >> s if s > 0 else a << -s


def half_even(a: Array, s: int) -> Array:
    if s <= 0:
        return a << -s
    low, rest = a >> s, a & ((1 << s) - 1)
    half = 1 << (s - 1)
    return low + ((rest > half) | ((rest == half) & (low % 2 == 1)))


def floor(a: Array, s: int) -> Array:
    return a >> s if s > 0 else a << -s


def integer_residual(result: QuantizationResult, x: Array, rnt: Tie) -> dict[str, Array]:
    """The codes of every tensor of `residual`, by t = sum(x w) + (b << (e_b - e_t)), y = clip(rnt(t, otp))."""
    bits = result.rows[0].bits
    constants = initializers(result.model)
    nodes = {node.name: node for node in result.model.graph.node}
    e = {r.tensor: r.exponent for r in result.rows}

    def clip(a: Array) -> Array:
        return np.clip(a, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def mac(node: str, products: Array, source: str, weight: str, output: str) -> Array:
        e_t = e[source] + e[weight]
        said = json.loads(next(p.value for p in nodes[node].metadata_props if p.key == METADATA))
        assert said["bits"] == bits and 0 <= said["exponent"] - e_t <= said["headroom"]
        aligned = constants[f"{node}.bias.codes" if node != "node.logits" else "logits.bias.codes"].astype(np.int64)
        b = aligned >> (said["exponent"] - e_t)
        assert np.array_equal(b << (said["exponent"] - e_t), aligned) and np.array_equal(clip(b), b)
        acc = products + aligned.reshape(-1, *[1] * (products.ndim - 2))
        return clip(rnt(acc, e[output] - e_t))

    def conv(codes: Array, weight: str) -> Array:
        w = constants[f"{weight}.codes"].astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(codes, [(0, 0), (0, 0), (1, 1), (1, 1)]), (3, 3), (2, 3)
        )
        return np.einsum("ncyxij,ocij->noyx", windows, w)

    # reals enter by the same tie rule: x / 2**e is exact in units of 2**-40 for these inputs
    units = np.floor(np.ldexp(x.astype(np.float64), 40)).astype(np.int64)
    assert np.array_equal(np.ldexp(units.astype(np.float64), -40), x)
    t: dict[str, Array] = {"image": clip(rnt(units, 40 + e["image"]))}
    t["bn1"] = mac("node.conv1", conv(t["image"], "conv1.weight"), "image", "conv1.weight", "bn1")
    t["relu1"] = np.maximum(t["bn1"], 0)
    n, c, h, w = t["relu1"].shape
    t["pool"] = t["relu1"].reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
    t["bn2"] = mac("node.conv2", conv(t["pool"], "conv2.weight"), "pool", "conv2.weight", "bn2")
    low = min(e["bn2"], e["pool"])
    total = (t["bn2"] << (e["bn2"] - low)) + (t["pool"] << (e["pool"] - low))
    t["add"] = clip(rnt(total, e["add"] - low))
    t["relu2"] = np.maximum(t["add"], 0)
    t["mean"] = clip(rnt(t["relu2"].sum((2, 3), keepdims=True), e["mean"] - e["relu2"] + 4))  # 16 numbers
    t["flat"] = t["mean"].reshape(n, -1)
    products = t["flat"] @ constants["logits.weight.codes"].astype(np.int64).T
    t["logits"] = mac("node.logits", products, "flat", "logits.weight", "logits")
    return t


def on_grid(x: Array) -> Array:
    """The inputs on a grid on which ties happen: multiples of 2**-8."""
    return (np.round(x * 256) / 256).astype(np.float32)


def codes_of_onnxruntime(result: QuantizationResult, x: Array) -> dict[str, Array]:
    found = OrtSession(result.model.SerializeToString()).run({"image": x})
    return {name.removesuffix(".codes"): value for name, value in found.items() if name.endswith(".codes")}


def test_onnxruntime_computes_the_integer_model() -> None:
    """ONNX Runtime rounds ties to even; with that rule every tensor's codes are equal."""
    x = on_grid(OTHER)
    mine, theirs = integer_residual(quantized(), x, half_even), codes_of_onnxruntime(quantized(), x)
    assert set(theirs) == set(mine)
    for name, codes in theirs.items():
        assert codes.dtype == np.int8
        assert np.array_equal(codes, mine[name]), name


def test_with_ties_to_infinity_only_ties_differ() -> None:
    x = on_grid(OTHER)
    up, even = (integer_residual(quantized(), x, rule) for rule in (half_up, half_even))
    assert not np.array_equal(up["image"], even["image"])
    ties = np.abs(np.ldexp(x, -row(quantized(), "image").exponent)) % 1 == 0.5
    assert not np.any((up["image"] != even["image"]) & ~ties)
    assert np.max(np.abs(up["image"] - even["image"])) == 1


@pytest.mark.parametrize("mutant", [floor, lambda a, s: -half_up(-a, s)], ids=["floor", "half_down"])
def test_mutant_roundings_are_caught(mutant: Tie) -> None:
    x = on_grid(OTHER)
    wrong, theirs = integer_residual(quantized(), x, mutant), codes_of_onnxruntime(quantized(), x)
    assert not np.array_equal(wrong["bn1"], theirs["bn1"])


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_every_width_is_valid_onnx_and_runs(bits: int) -> None:
    result = quantized(bits)
    onnx.checker.check_model(result.model, full_check=True)
    # ONNX Runtime's optimizer knows no narrow codes; 8 bits it must run as it is deployed.
    level = "ORT_ENABLE_EXTENDED" if bits == 8 else "ORT_DISABLE_ALL"
    x = on_grid(OTHER)
    found = run(result.model, x, level=level)[0]
    exponent = row(result, "logits").exponent
    mine = integer_residual(result, x, half_even)["logits"]
    if bits == 16:  # float32 sums of 32-bit products: a last bit may differ
        assert np.max(np.abs(np.ldexp(found, -exponent) - mine)) <= 1
    else:
        assert np.array_equal(found, np.ldexp(mine.astype(np.float32), exponent))


@pytest.mark.parametrize(
    ("bits", "stored", "opset"), [(2, "INT2", 25), (4, "INT4", 21), (8, "INT8", 17), (16, "INT16", 21)]
)
def test_codes_are_signed_with_zero_point_zero_and_power_of_two_scales(bits: int, stored: str, opset: int) -> None:
    model = quantized(bits).model
    assert model.opset_import[0].version == opset
    constants = initializers(model)
    types = {tensor.name: onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        assert constants[node.input[1]].shape == ()
        assert math.frexp(constants[node.input[1]])[0] == 0.5
        if len(node.input) > 2:
            assert types[node.input[2]] == stored
            assert constants[node.input[2]] == 0
        else:  # a bias
            assert types[node.input[0]] == "INT32"
    assert types["conv1.weight.codes"] == stored


def test_metadata_names_the_target_and_keeps_the_models_own() -> None:
    model = residual()
    helper.set_model_props(model, {"intsim.preprocess": "mean = 0"})
    written = quantize_model(model, CALIBRATION).model
    assert {p.key: p.value for p in written.metadata_props} == {
        "intsim.preprocess": "mean = 0",
        "intsim.target": "diffquant",
    }


# The exponents again, by brute force.


def best(r: Array, bits: int) -> int:
    high = 2 ** (bits - 1) - 1
    largest = float(np.max(np.abs(r)))
    reference = next(e for e in range(-60, 60) if largest <= math.ldexp(high, e))
    errors = {}
    for e in range(reference - 3, reference + 4):
        q = np.ldexp(np.clip(np.floor(np.ldexp(r.astype(np.float64), -e) + 0.5), -high - 1, high), e)
        errors[e] = float(np.sum((r - q) ** 2))
    return min(errors, key=lambda e: (errors[e], e))


def rounded_average(deltas: list[int], momentum: Fraction) -> tuple[Fraction, int]:
    average = Fraction(deltas[0])
    for delta in deltas[1:]:
        average = momentum * delta + (1 - momentum) * average
    return average, math.floor(average + Fraction(1, 2))


@pytest.mark.parametrize("momentum", [0.1, 0.5])
@pytest.mark.parametrize("bits", [4, 8])
def test_exponents_by_brute_force(bits: int, momentum: float) -> None:
    result, m, batch = quantized(bits, momentum), Fraction(str(momentum)), 8
    names = ["relu1", "bn2", "relu2", "mean", "logits"]  # where each layer's numbers are measured
    with_outputs = onnx.ModelProto.FromString(residual().SerializeToString())
    with_outputs.graph.output.extend(helper.make_tensor_value_info(n, 1, None) for n in names[:-1])
    values = dict(zip(names, run(with_outputs, CALIBRATION, names, "ORT_ENABLE_ALL"), strict=True))
    values["image"] = CALIBRATION
    batches = {name: [best(v[i : i + batch], bits) for i in range(0, len(v), batch)] for name, v in values.items()}
    weights = {r.tensor: r.exponent for r in result.rows if r.kind == "weight"}
    e = {"image": rounded_average(batches["image"], m)[1]}
    assert row(result, "image").exponent == e["image"]
    for layer, measured, source, weight in (
        ("bn1", "relu1", "image", "conv1.weight"),
        ("bn2", "bn2", "relu1", "conv2.weight"),
        ("add", "relu2", "", ""),
        ("mean", "mean", "", ""),
        ("logits", "logits", "mean", "logits.weight"),
    ):
        products = [b + weights[weight] for b in batches[source]] if source else [0] * len(batches[measured])
        deltas = [out - e_t for out, e_t in zip(batches[measured], products, strict=True)]
        average, rounded = rounded_average(deltas, m)
        e[measured] = rounded + (e[source] + weights[weight] if source else 0)
        found = row(result, layer)
        assert found.exponent == e[measured], layer
        assert found.average == float(average)
        assert found.otp == (rounded if source else None)
        assert found.measured == measured


def test_deltas_differ_from_batch_to_batch() -> None:
    """Else the averages above would be those of any formula."""
    averages = [r.average for r in quantized(8).rows if r.average is not None]
    assert any(a != round(a) for a in averages)


def test_mutant_average_of_the_previous_delta_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def mutant(deltas: list[int], m: Fraction) -> Fraction:
        return m * deltas[-1] + (1 - m) * deltas[max(len(deltas) - 2, 0)]

    right = quantized()  # which is kept: never made by the mutant
    monkeypatch.setattr(post_training, "moving_average", mutant)
    wrong = quantize_model(residual(), CALIBRATION, batch=8)
    assert [r.average for r in wrong.rows] != [r.average for r in right.rows]
    assert [r.exponent for r in wrong.rows] != [r.exponent for r in right.rows]


def test_weights_take_their_best_candidate() -> None:
    for r in quantized().rows:
        if r.kind == "weight":
            errors = {c.exponent: c.mse for c in r.candidates}
            assert r.exponent == min(errors, key=lambda e: (errors[e], e))


def test_relu_pool_and_data_movement_keep_the_exponent() -> None:
    rows = {r.tensor: r for r in quantized().rows}
    for name, source in (("relu1", "bn1"), ("pool", "relu1"), ("relu2", "add"), ("flat", "mean")):
        assert rows[name].kept_from == source
        assert rows[name].exponent == rows[source].exponent
        assert rows[name].candidates == ()


def test_rows_come_in_topological_order_and_go_into_json() -> None:
    rows = quantized().rows
    assert " ".join(r.tensor for r in rows) == (
        "image conv1.weight bn1 relu1 pool conv2.weight bn2 add relu2 mean flat logits.weight logits"
    )
    assert [r.kind for r in rows[:3]] == ["input", "weight", "activation"]
    assert json.loads(json.dumps([r.to_dict() for r in rows]))[2]["bias"]["exponent"] == rows[2].bias.exponent  # type: ignore[union-attr]
    for r in rows:
        if r.candidates:
            assert r.saturated is not None and r.zero is not None
            assert 0 <= r.saturated < 1 and 0 <= r.zero < 1
            assert [c.exponent for c in r.candidates] == list(range(r.reference - 3, r.reference + 4))  # type: ignore[operator]


def test_the_same_input_gives_the_same_bytes() -> None:
    once, again = (quantize_model(residual(), CALIBRATION).model for _ in range(2))
    assert once.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)


def test_headroom_limits_the_bias() -> None:
    free, tight = (quantize_model(residual(), CALIBRATION, headroom=h) for h in (16, 0))
    limited = 0
    for layer in ("bn1", "bn2", "logits"):
        e_t = row(tight, layer).exponent - row(tight, layer).otp  # type: ignore[operator]
        bias, other = row(tight, layer).bias, row(free, layer).bias
        assert bias is not None and other is not None
        assert bias.exponent == e_t
        assert other.exponent == other.reference == bias.reference
        assert other.limit_error == 0
        limited += bias.limit_error > 0
    assert limited


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 3}, "bits must be one of 2, 4, 8, 16, not 3"),
        ({"momentum": 0.0}, "momentum must be above 0"),
        ({"batch": 0}, "batch must be 1 or more"),
        ({"headroom": -1}, "headroom must be 0 to 24"),
        ({"bits": 16, "headroom": 17}, "headroom must be 0 to 16 with 16 bits"),
    ],
)
def test_unusable_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableInput, match=message):
        quantize_model(residual(), CALIBRATION, **options)


# One network for each op.


def around(
    op: str, constants: dict[str, Array] | None = None, operands: str = "a", outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """conv -> op -> conv of the same number of channels, the op on the tensors a (and b) and its constants."""
    b = Builder(11, 17)
    for name in operands.split():
        if name in "ab":
            b.conv("x", name, 2, 4)
    for name, value in (constants or {}).items():
        b.constant(name, value)
    b.node(op, ["" if n == "-" else n for n in operands.split()], "it", outputs, **attributes)
    last = ["it", *(f"it.{i}" for i in range(1, outputs))]
    names = [b.conv(name, f"y{i}", 8 if op == "Concat" else 4 // outputs, 2) for i, name in enumerate(last)]
    return b.model(op, {"x": ["n", 2, 8, 8]}, names)


INTEGER = {
    "Relu": around("Relu"),
    "Clip": around("Clip", {"lo": np.array(0, np.float32), "hi": np.array(1.5, np.float32)}, "a lo hi"),
    "Clip, one bound": around("Clip", {"hi": np.array(1.5, np.float32)}, "a - hi"),
    "LeakyRelu": around("LeakyRelu", alpha=0.1),
    "Sigmoid": around("Sigmoid"),
    "Add": around("Add", operands="a b"),
    "Add a constant": around("Add", {"c": np.linspace(-1, 1, 8, dtype=np.float32)}, "a c"),
    "Mul": around("Mul", operands="a b"),
    "Concat": around("Concat", operands="a b", axis=1),
    "MatMul": around("MatMul", operands="a b"),
    "MaxPool": around("MaxPool", kernel_shape=[2, 2]),
    "AveragePool": around("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "GlobalAveragePool": around("GlobalAveragePool"),
    "Mean of all pixels": around("ReduceMean", axes=[2, 3], keepdims=1),
    "Transpose": around("Transpose", perm=[0, 1, 3, 2]),
    "Reshape": around("Reshape", {"s": np.array([0, 4, 4, 16])}, "a s"),
    "Slice": around("Slice", {k: np.array([v]) for k, v in (("s", 1), ("e", 7), ("ax", 2))}, "a s e ax"),
    "Split": around("Split", {"s": np.array([2, 2])}, "a s", outputs=2, axis=1),
    "Pad": around("Pad", {"p": np.array([0, 0, 1, 1] * 2), "v": np.array(0.5, np.float32)}, "a p v"),
    "Resize": around("Resize", {"s": np.array([1, 1, 2, 2], np.float32)}, "a - s", mode="nearest"),
}
ISLANDS = {
    "Sub": around("Sub", operands="a b"),
    "Tanh": around("Tanh"),
    "HardSigmoid": around("HardSigmoid", alpha=0.3),
    "HardSwish": around("HardSwish"),
    "PRelu": around("PRelu", {"slope": np.linspace(-1, 1, 4, dtype=np.float32).reshape(4, 1, 1)}, "a slope"),
    "ReduceMean": around("ReduceMean", axes=[3], keepdims=1),
}


@pytest.mark.parametrize("name", INTEGER)
def test_onnxruntime_keeps_integer_kernels(name: str, tmp_path: Any) -> None:
    """Nothing stays float between the first quantizer and the last dequantizers."""
    found = kernels(quantize_model(INTEGER[name], images(8)).model, tmp_path)
    assert found["QuantizeLinear"] == 1
    assert found["DequantizeLinear"] == len(INTEGER[name].graph.output)
    assert found["QLinearConv"] >= 2
    assert not {"Conv", "FusedConv", "Gemm", "Add", "Mul", "Sigmoid", "LeakyRelu", "AveragePool"} & set(found)


@pytest.mark.parametrize("name", ISLANDS)
def test_around_an_op_that_has_no_integer_kernel_the_convolutions_stay_integer(name: str, tmp_path: Any) -> None:
    found = kernels(quantize_model(ISLANDS[name], images(8)).model, tmp_path)
    assert found["QLinearConv"] >= 2
    assert not {"Conv", "FusedConv"} & set(found)


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("name", [*INTEGER, *ISLANDS])
def test_every_op_at_every_width_is_near_the_float_network(name: str, bits: int) -> None:
    model = {**INTEGER, **ISLANDS}[name]
    x = images(16)
    result = quantize_model(model, x, bits=bits)
    level = "ORT_ENABLE_EXTENDED" if bits == 8 else "ORT_DISABLE_ALL"
    for real, codes in zip(run(model, x), run(result.model, x, level=level), strict=True):
        error = np.sqrt(np.mean((real - codes) ** 2) / np.mean(real**2))
        assert error < {2: 1.1, 4: 0.5, 8: 0.06, 16: 0.001}[bits]


@pytest.mark.parametrize("bound", [1.5, 0.1, 0.15, 0.2, 0.25, 0.3, 1e9, -1e9])
def test_a_clip_on_codes_has_the_codes_of_its_bounds(bound: float) -> None:
    model = around("Clip", {"lo": np.array(-bound, np.float32), "hi": np.array(bound, np.float32)}, "a lo hi")
    result = quantize_model(model, images(8))
    constants, e = initializers(result.model), row(result, "it").exponent
    for name, real in (("low", -np.float32(bound)), ("high", np.float32(bound))):
        code = math.floor(Fraction(float(real)) / Fraction(2) ** e + Fraction(1, 2))
        assert constants[f"it.{name}"] == min(max(code, -128), 127)
        assert constants[f"it.{name}"].dtype == np.int8


def test_an_absent_bound_is_the_end_of_the_range() -> None:
    bound = {"c": np.array(0.5, np.float32)}
    below = initializers(quantize_model(around("Clip", bound, "a - c"), images(8)).model)
    above = initializers(quantize_model(around("Clip", bound, "a c"), images(8)).model)
    assert (int(below["it.low"]), int(above["it.high"])) == (-128, 127)


@pytest.mark.parametrize("op", ["Relu", "Clip"])
def test_a_layer_is_measured_behind_its_clamp(op: str) -> None:
    assert row(quantize_model(INTEGER[op], images(8)), "a").measured == "it"


@pytest.mark.parametrize("bits", [2, 8])
def test_shares_are_those_at_the_chosen_exponent(bits: int) -> None:
    result = quantized(bits)
    high = 2 ** (bits - 1) - 1
    for name, reals in (("image", CALIBRATION), ("relu2", run_to("relu2")), ("logits", run_to("logits"))):
        found = next(r for r in result.rows if r.measured == name)
        codes = np.floor(np.ldexp(reals.astype(np.float64), -found.exponent) + 0.5)
        few = 2 / codes.size  # calibration runs the folded network: a float32 beside an edge may cross it
        assert found.saturated == pytest.approx(np.mean((codes > high) | (codes < -high - 1)), abs=few)
        assert found.zero == pytest.approx(np.mean(codes == 0), abs=few)
    weights = initializers(result.model)["conv2.weight.codes"].astype(np.int64)
    assert row(result, "conv2.weight").zero == np.mean(weights == 0)


def run_to(name: str) -> Array:
    model = onnx.ModelProto.FromString(residual().SerializeToString())
    if name not in [o.name for o in model.graph.output]:
        model.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    return np.asarray(run(model, CALIBRATION, [name], "ORT_ENABLE_ALL")[0])


def test_softmax_stays_float_behind_the_last_dequantizer() -> None:
    b = Builder(12, 17)
    b.linear("x", "fc", 6, 4)
    b.node("Softmax", ["fc"], "p", axis=-1)
    model = quantize_model(b.model("soft", {"x": ["n", 6]}, ["p"]), images(8, shape=(6,))).model
    last, before = model.graph.node[-1], model.graph.node[-2]
    assert (last.op_type, before.op_type) == ("Softmax", "DequantizeLinear")
    assert model.graph.output[0].name == "p"


def test_a_result_that_others_read_is_measured_before_its_relu() -> None:
    b = Builder(13, 17)
    x = b.conv("x", "a", 2, 4)
    b.node("Add", [b.node("Relu", [x], "r"), x], "y")
    result = quantize_model(b.model("shared", {"x": ["n", 2, 8, 8]}, ["y"]), images(8))
    assert row(result, "a").measured == "a"
    assert row(result, "r").kept_from == "a"


def test_dropout_and_identity_vanish() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Dropout", ["a"], ["b"]),
        helper.make_node("Identity", ["b"], ["y"]),
    ]
    model = quantize_model(several(nodes, ["n", 4]), images(4, shape=(4,))).model
    assert [n.op_type for n in model.graph.node] == ["QuantizeLinear", "Relu", "DequantizeLinear"]
    assert model.graph.output[0].name == "y"


def test_names_that_are_taken_are_not_used_again() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["x.codes"]), helper.make_node("Relu", ["x.codes"], ["y"])]
    model = quantize_model(several(nodes, ["n", 4]), images(4, shape=(4,))).model
    made = [output for node in model.graph.node for output in node.output]
    assert len(set(made)) == len(made)


def test_opset_13_works() -> None:
    result = quantize_model(residual(13), CALIBRATION)
    assert result.model.opset_import[0].version == 14


def test_scales_that_float32_cannot_hold_are_refused() -> None:
    tiny = np.full((2, 2, 1, 1), 1e-40, np.float32)
    with pytest.raises(OutOfDomain, match="tensor 'w': values so small"):
        quantize_model(single("Conv", ["n", 2, 8, 8], {"w": tiny}, ["x", "w"]), CALIBRATION)
