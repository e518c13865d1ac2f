"""The shift requantizer: truncation points, aligned biases, what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import accumulator_of, lower
from intsim.target import TARGETS
from tests.lowering.graphs import affine, conv_graph, graph, power

DIFFQUANT = TARGETS["diffquant"]


def test_the_truncation_point_is_e_y_minus_e_x_minus_e_w() -> None:
    lowered = lower(conv_graph(power(-4), power(-6), power(-3)), DIFFQUANT)
    accumulator, requantize = lowered.layers
    assert accumulator.op == "conv"
    assert accumulator.parameters["accumulator_bits"] == 8 + 8 + 16
    assert requantize.op == "requantize"
    assert requantize.parameters["shift"] == -3 - (-4 - 6)
    assert requantize.parameters["rounding"] == "half_up"
    unit = lowered.values[accumulator_of("y")]
    assert unit is not None
    assert unit.exponents == (-10,)


def test_weights_by_channel_give_a_shift_by_channel() -> None:
    weights = Format(8, scale=(2.0**-6, 2.0**-4), zero_point=(0,), axis=0)
    lowered = lower(conv_graph(power(-4), weights, power(-3)), DIFFQUANT)
    assert lowered.layers[1].parameters["shift"].tolist() == [7, 5]


def test_a_bias_is_shifted_left_to_the_exponent_of_the_sum() -> None:
    bias = np.array([5, -3], np.int8)
    lowered = lower(conv_graph(power(-4), power(-6), power(-3), bias, power(-7)), DIFFQUANT)
    assert lowered.layers[0].parameters["bias"].tolist() == [5 << 3, -3 << 3]


@pytest.mark.parametrize(("exponent", "fits"), [(-11, False), (-10, True), (6, True), (7, False)])
def test_a_bias_exponent_lies_within_e_t_and_e_t_plus_headroom(exponent: int, fits: bool) -> None:
    network = conv_graph(power(-4), power(-6), power(-3), np.array([0, 1], np.int8), power(exponent))
    if fits:
        assert lower(network, DIFFQUANT).layers[0].parameters["bias"].tolist() == [0, 1 << (exponent + 10)]
    else:
        with pytest.raises(OutOfDomain, match="channel 1 would shift left by"):
            lower(network, DIFFQUANT)


def test_a_real_bias_is_rounded_half_up_to_the_exponent_of_the_sum() -> None:
    bias = np.array([1.5 / 1024, -1.5 / 1024], np.float32)
    lowered = lower(conv_graph(power(-4), power(-6), power(-3), bias, None), DIFFQUANT)
    assert lowered.layers[0].parameters["bias"].tolist() == [2, -1]


def test_a_scale_that_is_no_power_of_two_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedOp) as caught:
        lower(conv_graph(affine(0.1), power(-6), power(-3)), DIFFQUANT)
    assert re.search(r"node 'conv'.*tensor 'x'.*--target onnxruntime.*intsim quantize", str(caught.value))
    assert "\n" not in str(caught.value)


def test_a_float_op_in_the_middle_is_refused_by_name() -> None:
    tail = (Node("swish", "HardSwish", ("h",), ("y",)),)
    with pytest.raises(UnsupportedOp, match=r"node 'conv' \(Conv\) breaks the integer chain: tensor 'h'"):
        lower(conv_graph(power(-4), power(-6), power(-3), tail=tail), DIFFQUANT)


def test_a_float_op_at_the_end_is_a_tail_behind_the_raw_accumulator() -> None:
    tail = (Node("softmax", "Softmax", ("h",), ("y",), {"axis": 1}),)
    lowered = lower(conv_graph(power(-4), power(-6), None, tail=tail), DIFFQUANT)
    assert [layer.op for layer in lowered.layers] == ["conv", "dequantize_float32", "island"]
    assert not lowered.layers[-1].exact
    assert lowered.layers[-1].note.startswith("float tail")


def test_a_relu_before_the_quantizer_clamps_codes() -> None:
    tail = (Node("relu", "Relu", ("h",), ("y",)),)
    lowered = lower(conv_graph(power(-4), power(-6), power(-3), tail=tail), DIFFQUANT)
    assert [layer.op for layer in lowered.layers] == ["conv", "requantize", "clip"]
    clip = lowered.layers[-1]
    assert (clip.parameters["low"], clip.parameters["high"]) == (0, 127)


def test_add_aligns_left_and_rounds_once() -> None:
    node = Node("add", "Add", ("x", "z"), ("y",))
    lowered = lower(graph([node], {"x": power(-4), "z": power(-6), "y": power(-3)}, {}, inputs=("x", "z")), DIFFQUANT)
    parameters = lowered.layers[0].parameters
    assert (parameters["a_shift"], parameters["b_shift"], parameters["shift"]) == (2, 0, 3)


def test_an_override_changes_one_node_only() -> None:
    from dataclasses import replace

    target = replace(DIFFQUANT, overrides=(("con*", "rounding", "floor"), ("other", "rounding", "ceil")))
    lowered = lower(conv_graph(power(-4), power(-6), power(-3)), target)
    assert lowered.layers[1].parameters["rounding"] == "floor"
