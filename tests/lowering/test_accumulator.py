from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from intsim.errors import AccumulatorOverflow, OutOfDomain, UnsupportedOp, UnusableInput
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import lower
from intsim.lowering.accumulator import bias_cost, quantized_bias, summation_of
from intsim.model import Model
from intsim.summation import Summation
from intsim.taps.trace import stops
from intsim.target import TARGETS, Target, find_target
from tests.networks import random_codes, residual_graph

DIFFQUANT = TARGETS["diffquant"]

PULP: dict[str, Any] = {
    "accumulator_bits": 20,
    "overflow": "saturate",
    "saturate_after": "end",
    "mac_order": ("row", "column", "channel"),
    "lanes": 4,
    "tree_bits": 17,
    "tree_overflow": "saturate",
    "channels_per_pass": 2,
    "spill_bits": 12,
    "spill_shift": 4,
    "spill_rounding": "half_even",
    "spill_overflow": "wrap",
    "bias_added": "first",
    "bias_bits": 12,
    "zeros_subtracted": "after",
    "rounding_constant": "inside",
}

TOML = """
base = "diffquant"
accumulator_bits = 20
overflow = "saturate"
saturate_after = "end"
mac_order = ["row", "column", "channel"]
lanes = 4
tree_bits = 17
tree_overflow = "saturate"
channels_per_pass = 2
spill_bits = 12
spill_shift = 4
spill_rounding = "half_even"
spill_overflow = "wrap"
bias_added = "first"
bias_bits = 12
zeros_subtracted = "after"
rounding_constant = "inside"

[[overrides]]
node = "conv*"
mac_order = ["column", "row", "channel"]
lanes = 2
"""


def test_toml_and_dict_name_every_fact(tmp_path: Any) -> None:
    (tmp_path / "pulp.toml").write_text(TOML)
    target = find_target(tmp_path / "pulp.toml")
    expected = replace(DIFFQUANT, name="pulp", **PULP)
    assert target.at("fc") == replace(expected, overrides=target.overrides)
    assert target.at("conv7") == replace(expected, mac_order=("column", "row", "channel"), lanes=2)
    assert Target.from_dict(target.to_dict()) == target
    assert tomllib.loads(TOML)["mac_order"] == list(target.mac_order)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"saturate_after": "never"}, "saturate_after must be one of product, end, not 'never'"),
        ({"tree_overflow": "clip"}, "tree_overflow must be one of wrap, saturate, trap"),
        ({"spill_rounding": "nearest"}, "spill_rounding must be one of"),
        ({"spill_overflow": 1}, "spill_overflow must be a string, not 1"),
        ({"bias_added": "middle"}, "bias_added must be one of last, first"),
        ({"zeros_subtracted": "never"}, "zeros_subtracted must be one of before, after, after_unsigned"),
        ({"rounding_constant": "nowhere"}, "rounding_constant must be one of outside, inside"),
        ({"lanes": 0}, "lanes must be 1 to 4096, not 0"),
        ({"lanes": True}, "lanes must be an integer, not True"),
        ({"lanes": 2, "tree_bits": 65}, "tree_bits must be 2 to 64, not 65"),
        ({"tree_bits": 16}, "tree_bits needs lanes"),
        ({"channels_per_pass": 0}, "channels_per_pass must be 1 to"),
        ({"channels_per_pass": 1, "spill_shift": 63}, "spill_shift must be 0 to 62"),
        ({"spill_bits": 16}, "spill_bits and spill_shift need channels_per_pass"),
        ({"bias_bits": 1}, "bias_bits must be 2 to 64"),
        ({"mac_order": ("channel", "row")}, "mac_order must be channel, row, column in some order"),
        ({"mac_order": "channel"}, "mac_order must be"),
        (
            {"rounding_constant": "inside", "rounding": "half_even"},
            "needs the requantizer shift and the rounding half_up",
        ),
        ({"rounding_constant": "inside", "requantizer": "float32"}, "needs the requantizer shift"),
        ({"accumulator_bits": 7}, "accumulator_bits must be 8 to 64"),
    ],
)
def test_what_no_machine_can_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnusableInput, match=f"target 't': .*{message}"):
        Target("t", **changes)
    with pytest.raises(UnusableInput, match=message):
        replace(DIFFQUANT, overrides=tuple(("conv", k, v) for k, v in changes.items())).at("conv")


def test_the_plain_accumulator_is_no_parameter() -> None:
    for layer in lower(residual_graph(), DIFFQUANT).layers:
        assert "summation" not in layer.parameters and "constant" not in layer.parameters


def test_orders_of_one_two_and_three_axes() -> None:
    node = Node("n", "Conv", ("x", "w"), ("y",))
    target = replace(DIFFQUANT, mac_order=("row", "column", "channel"))
    assert summation_of(target, node, Format(8), Format(8), (2, 1, 3, 3)) == {"summation": Summation(order=(1, 2, 0))}
    assert summation_of(target, node, Format(8), Format(8), (2, 1, 3)) == {"summation": Summation(order=(1, 0))}
    assert summation_of(target, Node("n", "MatMul", ("x", "w"), ("y",)), Format(8), Format(8), (3, 2)) == {}
    assert (
        summation_of(replace(target, mac_order=("row", "channel", "column")), node, Format(8), Format(8), (2, 1, 3))
        == {}
    )
    with pytest.raises(UnsupportedOp, match="3 spatial axes have no row and column"):
        summation_of(target, node, Format(8), Format(8), (2, 1, 3, 3, 3))


@pytest.mark.parametrize(
    ("zeros", "signed", "offsets"),
    [("after", True, (0, 0)), ("after_unsigned", True, (-128, 0)), ("after_unsigned", False, (0, 0))],
)
def test_offsets(zeros: str, signed: bool, offsets: tuple[int, int]) -> None:
    target = replace(DIFFQUANT, zeros_subtracted=zeros)
    node = Node("n", "Conv", ("x", "w"), ("y",))
    found = summation_of(target, node, Format(8, signed), Format(8), (2, 1, 3, 3))
    assert found == {"summation": Summation(offsets=offsets)}


@pytest.mark.parametrize(
    ("groups", "shape", "x_signed", "signed", "in_pairs"),
    [
        (1, (8, 4, 3, 3), False, True, True),
        (1, (8, 4, 3, 3), True, True, False),
        (1, (8, 4, 3, 3), False, False, False),
        (8, (8, 1, 3, 3), False, True, False),
        (4, (8, 1, 3, 3), False, True, True),
        (1, (1, 1, 3, 3), False, True, True),
    ],
)
def test_byte_pairs_of_onnx_runtime(
    groups: int, shape: tuple[int, ...], x_signed: bool, signed: bool, in_pairs: bool
) -> None:
    node = Node("n", "Conv", ("x", "w"), ("y",), {"groups": groups})
    found = summation_of(TARGETS["onnxruntime-avx2"], node, Format(8, x_signed), Format(8, signed), shape)
    s = found["summation"]
    assert (s.lanes, s.tree_bits, s.offsets) == ((2, 16, (0, 0)) if in_pairs else (1, None, None))


MACHINES: list[dict[str, Any]] = [
    {**PULP, "bias_bits": None},
    {"accumulator_bits": 14, "overflow": "saturate", "mac_order": ("column", "channel", "row")},
    {"accumulator_bits": 13, "overflow": "saturate", "saturate_after": "end"},
    {"lanes": 2, "tree_bits": 14, "tree_overflow": "saturate", "zeros_subtracted": "after_unsigned"},
    {"channels_per_pass": 1, "spill_bits": 10, "spill_shift": 3, "spill_rounding": "toward_zero"},
    {"accumulator_bits": 15, "rounding_constant": "inside", "bias_added": "first"},
    {"accumulator_bits": 48, "overflow": "saturate"},
]


@pytest.mark.parametrize("facts", MACHINES)
def test_kernels_spec_and_trace_agree(facts: dict[str, Any]) -> None:
    model = Model(residual_graph(), replace(DIFFQUANT, **facts))
    x = random_codes(1, (3, 3, 8, 8))
    taps = ["codes", "accumulator", "overflow"]
    kernels, spec = model.run(x, taps=taps), model.run(x, taps=taps, engine="spec")
    for name, expected in spec.taps.items():
        got = kernels.taps[name]
        assert got.codes is not None and expected.codes is not None
        assert np.array_equal(got.codes, expected.codes)
        if expected.accumulator is None:
            continue
        assert got.accumulator is not None
        assert np.array_equal(got.accumulator, expected.accumulator)
        assert got.summary()["overflow"] == expected.summary()["overflow"]
        layer = model.lowered.producer(model.lowered.accumulators[name])
        assert layer is not None
        codes = x if layer.inputs[0] == "x" else spec.taps[layer.inputs[0]].codes
        assert codes is not None
        at = (1, 2, 1, 1)[: expected.accumulator.ndim]
        weights = layer.parameters["w" if layer.op == "conv" else "b"]
        assert list(stops(layer, codes, weights, at))[-1].held == expected.accumulator[at]


@pytest.mark.parametrize("rounding", ["half_up", "half_down", "ceil", "floor"])
def test_a_wide_accumulator_rounds_the_same_inside_and_outside(rounding: str) -> None:
    target = replace(DIFFQUANT, rounding=rounding)
    x = random_codes(2, (4, 3, 8, 8))
    inside = Model(residual_graph(), replace(target, rounding_constant="inside")).run(x, taps=["codes"])
    outside = Model(residual_graph(), target).run(x, taps=["codes"])
    for name, tap in outside.taps.items():
        codes = inside.taps[name].codes
        assert codes is not None and tap.codes is not None
        assert np.array_equal(codes, tap.codes)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            {"lanes": 2, "tree_bits": 9, "tree_overflow": "trap"},
            "its 9-bit tree, which traps; widen it .tree_bits.*tree_o",
        ),
        ({"channels_per_pass": 1, "spill_bits": 5, "spill_overflow": "trap"}, "its 5-bit spill, which traps"),
        ({"accumulator_bits": 10, "overflow": "trap"}, "its 10-bit accumulator, which traps; .*overflow"),
    ],
)
def test_each_adder_traps_in_the_engine(facts: dict[str, Any], message: str) -> None:
    model = Model(residual_graph(), replace(DIFFQUANT, **facts))
    with pytest.raises(AccumulatorOverflow, match=rf"node 'conv1': the sum -?\d+ at \(\d, \d, \d, \d\) .*{message}"):
        model.run(random_codes(1, (3, 3, 8, 8)))


def test_events_are_counted_by_rule_layer_and_channel() -> None:
    facts: dict[str, Any] = {
        "lanes": 2,
        "tree_bits": 13,
        "tree_overflow": "saturate",
        "accumulator_bits": 15,
        "overflow": "saturate",
    }
    model = Model(residual_graph(), replace(DIFFQUANT, **facts))
    result = model.run(random_codes(1, (20, 3, 8, 8)), taps=["overflow"])
    overflow = result.taps["y1"].overflow
    assert overflow is not None and set(overflow.by_rule) == {"accumulator", "tree"}
    assert overflow.rule in overflow.by_rule
    assert (overflow.by_channel <= overflow.by_rule["accumulator"] + overflow.by_rule["tree"]).all()
    assert all((counts <= overflow.by_channel).all() for counts in overflow.by_rule.values())
    assert overflow.count == overflow.by_channel.sum() == result.overflows["y1"]


def test_a_real_bias_is_shifted_left_as_little_as_its_width_allows() -> None:
    e_t = np.array([-10, -10])
    exact = np.array([1000.4, -3.0])  # in units of the accumulator
    reals = np.ldexp(exact, -10)
    for bits, expected in ((None, [1000, -3]), (11, [1000, -3]), (10, [1000, -2]), (8, [1000, 0]), (4, [1024, 0])):
        target = replace(DIFFQUANT, bias_bits=bits)
        assert quantized_bias(reals, e_t, target).tolist() == expected, bits
    limited = replace(DIFFQUANT, bias_bits=4, headroom=3)
    assert quantized_bias(reals, e_t, limited).tolist() == [7 << 3, 0]


def test_a_bias_code_must_fit() -> None:
    with pytest.raises(OutOfDomain, match=r"node '\w+': the bias code -?\d+ of channel \d must fit in 4 bits"):
        lower(residual_graph(), replace(DIFFQUANT, bias_bits=4))


def test_the_cost_of_a_bias_in_codes_is_half_its_unit() -> None:
    lowered = lower(residual_graph(), DIFFQUANT)
    costs = {layer.node: bias_cost(lowered, layer) for layer in lowered.layers if layer.op in ("conv", "matmul")}
    assert costs["conv1"] == (0, 0.5)  # exponent -10 = e_t
    shift = -7 - (-3 - 6)
    assert costs["conv2"] == (shift, 2.0 ** (shift - 1))
