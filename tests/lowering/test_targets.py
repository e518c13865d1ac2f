"""What the named targets make of single nodes: formulas worked out by hand, and what they refuse, with its message."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import IntsimError, OutOfDomain, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering import lower
from intsim.lowering.fixed_point import scaled
from intsim.lowering.formulas import formula
from intsim.lowering.pooling import reciprocal
from intsim.model import Model
from intsim.target import TARGETS, Target
from tests.lowering.graphs import affine, conv_graph, graph, power

POOL: dict[str, Any] = {
    "kernel": (3, 3),
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "ceil_mode": False,
    "count_include_pad": False,
}


def s8(scale: float, zero_point: int = 0) -> Format:
    return affine(scale, zero_point, signed=True)


def one(op: str, formats: list[Format], attributes: dict[str, Any] | None = None) -> Graph:
    """One node; the last format is the output's."""
    names = [f"x{i}" for i in range(len(formats) - 1)]
    node = Node("node", op, tuple(names), ("y",), attributes or {})
    return graph([node], dict(zip([*names, "y"], formats, strict=True)), {}, inputs=tuple(names))


def formulas(g: Graph, target: str | Target) -> dict[str, str]:
    lowered = lower(g, TARGETS[target] if isinstance(target, str) else target)
    return {layer.outputs[0]: formula(layer) for layer in lowered.layers}


CONVOLUTIONS = {
    "onnx-reference": "half_even(float64(acc) * 0.5 + 3)",
    "tflite": "half_up(acc * 1073741824 / 2**31) + 3",
    "tflite-single": "half_up(acc * 1073741824 / 2**31) + 3",
    "cmsis-nn": "half_up(acc * 1073741824 / 2**31) + 3",
    "tosa": "half_up((acc * 1073741824) / 2**31) + 3",
    "tosa-single": "half_up((acc * 1073741824) / 2**31) + 3",
    "xnnpack": "half_even(float32(acc) * 0.5) + 3",
    "pulp": "half_up(wrap32(acc * 32) / 2**6) + 3",
}


@pytest.mark.parametrize(("target", "expected"), CONVOLUTIONS.items())
def test_a_convolution_with_a_zero_point(target: str, expected: str) -> None:
    g = conv_graph(s8(0.5), power(-1), s8(0.5, 3))
    assert formulas(g, target)["y"] == expected


SYMMETRIC = {
    "diffquant": "half_up(acc / 2**3)",
    "vitis-dpu": "half_up(acc / 2**3)",
    "nvdla": "half_away(acc * 16384 / 2**17)",
    "gemmini": "half_even(float32(acc) * 0.125)",
    "max7800x": "half_up(acc / 2**3)",
    "nngen": "half_away(acc / 2**3)",
}


@pytest.mark.parametrize(("target", "expected"), SYMMETRIC.items())
def test_a_convolution_without(target: str, expected: str) -> None:
    assert formulas(conv_graph(power(-5), power(-3), power(-5)), target)["y"] == expected


@pytest.mark.parametrize("target", ["nvdla", "gemmini", "vitis-dpu", "max7800x", "nngen"])
def test_signed_symmetric_machines(target: str) -> None:
    unsigned = conv_graph(Format(8, False, scale=(0.5,)), power(-1), power(0))
    with pytest.raises(UnsupportedOp, match=rf"node 'conv' \(Conv\): tensor 'x' is unsigned, and target '{target}'"):
        lower(unsigned, TARGETS[target])
    moved = conv_graph(power(0, zero_point=(4,)), power(-1), power(0))
    with pytest.raises(UnsupportedOp, match=rf"tensor 'x' has the zero point 4, and target '{target}' has none"):
        lower(moved, TARGETS[target])


@pytest.mark.parametrize("target", ["diffquant", "vitis-dpu", "max7800x", "nngen"])
def test_scales_that_are_no_powers_of_two(target: str) -> None:
    with pytest.raises(UnsupportedOp, match=r"node 'conv' \(Conv\): scale 0\.3\d* of tensor 'y' .*`intsim quantize`"):
        lower(conv_graph(power(0), power(-1), s8(0.3)), TARGETS[target])


@pytest.mark.parametrize(
    ("target", "exponent", "message"),
    [
        ("nngen", -12, "needs a right shift by -11"),
        ("max7800x", 30, "needs a right shift by 31"),
        ("xnnpack", -12, "multiplier must be at least"),
        ("tosa", -31, "a scale must be below"),
        ("nvdla", -40, "needs a shift within 0 to 63"),
        ("pulp", -12, "ratio of scales must be"),
    ],
)
def test_multipliers_that_a_target_has_not(target: str, exponent: int, message: str) -> None:
    with pytest.raises(OutOfDomain, match=f"node 'conv'.*{message}.* tensor 'y'"):
        lower(conv_graph(power(0), power(-1), power(exponent)), TARGETS[target])


def test_the_max7800x_adds_an_int8_times_128() -> None:
    def g(*bias: int) -> Graph:
        return conv_graph(power(-5), power(-3), power(-5), np.array(bias, np.int32), Format(32, scale=(2.0**-8,)))

    target = TARGETS["max7800x"]
    conv, last = lower(g(-128 * 128, 127 * 128), target).layers
    assert conv.parameters["bias"] is None and last.parameters["bias"].tolist() == [-128, 127]
    x = np.full((1, 2, 4, 4), 50, np.int8)
    plain = Model(g(-256, 1280), TARGETS["vitis-dpu"]).run(x).outputs["y"].values
    assert np.array_equal(Model(g(-256, 1280), target).run(x).outputs["y"].values, plain)
    for wrong in (129, 128 * 128):
        with pytest.raises(OutOfDomain, match=f"the bias of channel 1 is {wrong} in units of the accumulator"):
            lower(g(0, wrong), target)


def test_a_bias_of_another_scale() -> None:
    bias = np.array([1, 2], np.int32)
    with pytest.raises(UnsupportedOp, match=r"bias 'b' has the scale 0\.3.* must be x_scale \* w_scale"):
        lower(conv_graph(s8(0.3), s8(0.7), s8(1.1), bias, Format(32, scale=(0.3,))), TARGETS["tflite"])
    shifted = lower(conv_graph(power(0), power(-1), power(0), bias, Format(32, scale=(2.0,))), TARGETS["tflite"])
    assert shifted.layers[0].parameters["bias"].tolist() == [4, 8]


@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize("target", ["nvdla", "gemmini"])
def test_sums_that_no_source_defines_are_exact(op: str, target: str) -> None:
    formats = [s8(0.3), s8(0.11), s8(0.47)]
    lowered = lower(one(op, formats), TARGETS[target])
    assert "project's choice" in lowered.layers[0].note
    rng = np.random.default_rng(1)
    a, b = rng.integers(-128, 128, (2, 1, 2, 4, 4)).astype(np.int8)
    result = Model(one(op, formats), TARGETS[target]).run({"x0": a, "x1": b}).outputs["y"].values
    rules: dict[str, Callable[[Fraction], int]] = {
        "nvdla": lambda v: int(abs(v) + Fraction(1, 2)) * (1 if v > 0 else -1),
        "gemmini": round,
    }
    nearest = rules[target]
    scales = [Fraction(f.scale[0]) for f in formats]
    for at in np.ndindex(a.shape):
        exact = (int(a[at]) * scales[0] + (1 if op == "Add" else -1) * int(b[at]) * scales[1]) / scales[2]
        assert result[at] == min(max(nearest(exact), -128), 127)


def test_alignment_to_the_right() -> None:
    formats = [power(-4), power(-2), power(-2)]
    right = Target("right", alignment="right")
    assert formulas(one("Add", formats), "diffquant")["y"] == "half_up((a + (b << 2)) / 2**2)"
    assert formulas(one("Add", formats), right) == {"y#a": "half_up(acc / 2**2)", "y": "(a + b)"}
    a, b = np.full((1, 2, 4, 4), 7, np.int8), np.full((1, 2, 4, 4), -3, np.int8)
    assert Model(one("Add", formats), right).run({"x0": a, "x1": b}).outputs["y"].values.flat[0] == 2 - 3
    with pytest.raises(UnsupportedOp, match="tensor 'x0' has a zero point"):
        lower(one("Add", [power(-4, zero_point=(1,)), *formats[1:]]), right)


def test_means_by_a_multiplier_and_by_a_shift() -> None:
    g = one("AveragePool", [power(-2), power(-2)], POOL)
    assert formulas(g, "diffquant")["y"] == "half_up(sum(x) / (count))"
    assert formulas(g, "vitis-dpu")["y"] == "half_up(sum(x) * 63 / (count * 64))"
    shifting = Target("shifting", mean="shift")
    with pytest.raises(UnsupportedOp, match="a mean over 9 elements is no shift, and target 'shifting' only shifts"):
        lower(g, shifting)
    g = one("GlobalAveragePool", [power(-2), power(-3)])
    assert formulas(g, shifting) == {"y#sum": "sum(x)", "y": "half_up(acc * 1 / 8)"}


def test_the_dpus_reciprocals() -> None:
    assert [reciprocal(w) for w in ((3, 3), (7, 7), (1, 1), (2, 2))] == [(7, 6), (21, 10), (1, 0), (1, 2)]
    for window in ((4, 5), (8, 3), (9, 9)):
        m, k = reciprocal(window)
        assert abs(Fraction(m, 2**k) * window[0] * window[1] - 1) < Fraction(1, 100)


def reciprocal_scale(value: int) -> tuple[int, int]:
    """The standard's pseudocode (arm/tosa-specification, pseudocode/library/scale_helpers.tosac)."""
    k = (value - 1).bit_length()
    return ((2**30 + 1) << k) // value, 30 + k


@pytest.mark.parametrize("count", [*range(1, 50), 64, 81, 98, 255, 256, 1024])
def test_tosas_reciprocal_is_a_quotient_with_ties_away_from_zero(count: int) -> None:
    multiplier, shift = reciprocal_scale(count)
    sums = np.unique(np.concatenate([np.arange(-2000, 2001), count * np.arange(-128, 128) + count // 2]))
    rescaled = spec.requantize_tosa(sums, multiplier=multiplier, shift=shift, bits=32, signed=True)
    assert np.array_equal(rescaled, spec.divide(sums, count, "half_away"))


@pytest.mark.parametrize("single", [False, True])
def test_fixed_point_of_one_integer_is_the_specs(single: bool) -> None:
    op = spec.requantize_tflite_single if single else spec.requantize_tflite
    x = np.arange(-700, 701, 7)
    for multiplier, shift in ((1 << 30, -3), (1518500250, 2), (2**31 - 1, 0), (1234567890, -31), (0, 0)):
        expected = op(x, multiplier=multiplier, shift=shift, bits=32, signed=True)
        assert [scaled(int(v), multiplier, shift, single=single) for v in x] == expected.tolist()


def test_tables_name_their_rule() -> None:
    lowered = lower(one("Sigmoid", [s8(0.1), s8(1 / 256, -128)]), TARGETS["tosa"])
    assert lowered.layers[0].note == "project's choice: a table of exact results, half_away"


def test_lengths_that_a_mean_must_know() -> None:
    g = one("GlobalAveragePool", [s8(0.3), s8(0.2)])
    node = g.nodes[0]
    unknown = graph([node], {"x0": s8(0.3), "y": s8(0.2)}, {"x0": (1, 2, None, 4)}, inputs=("x0",))
    with pytest.raises(IntsimError, match=r"node 'node' \(GlobalAveragePool\): the lengths of its axes \(2, 3\)"):
        lower(unknown, TARGETS["tflite"])
