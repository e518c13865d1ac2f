"""Which patterns ONNX Runtime runs in integers, and the parameters it uses; the codes are judged in conformance/."""

from __future__ import annotations

import numpy as np
import pytest

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import lower
from intsim.lowering.onnxruntime import swaps_operands
from intsim.target import TARGETS
from tests.lowering.graphs import CONV, affine, conv_graph, graph, power

ORT = TARGETS["onnxruntime"]


def test_the_multiplier_is_rounded_after_each_operation() -> None:
    x, w, y = affine(0.1, 3), affine(0.03, signed=True), affine(0.7, 5)
    lowered = lower(conv_graph(x, w, y), ORT)
    requantize = lowered.layers[1]
    expected = (np.float32(0.1) * np.float32(0.03)) / np.float32(0.7)
    assert requantize.op == "requantize_float32"
    assert requantize.parameters["multiplier"] == expected
    assert requantize.parameters["multiplier"].dtype == np.float32
    assert lowered.layers[0].parameters["accumulator_bits"] == 32


def test_a_real_bias_is_quantized_half_to_even() -> None:
    x, w = affine(0.5), affine(0.5, signed=True)
    lowered = lower(conv_graph(x, w, affine(1.0), np.array([0.625, 0.875], np.float32), None), ORT)
    assert lowered.layers[0].parameters["bias"].tolist() == [2, 4], "2.5 and 3.5"


@pytest.mark.parametrize(
    ("bias_scale", "op"),
    [
        (0.25, "conv"),
        (0.25 * 1.005, "conv"),  # within 1%: the codes join the accumulator as they are
        (0.25 * 1.02, "island"),
    ],
)
def test_a_bias_of_another_scale_keeps_the_convolution_in_float(bias_scale: float, op: str) -> None:
    x, w = affine(0.5), affine(0.5, signed=True)
    bias = Format(32, scale=(float(np.float32(bias_scale)),))
    lowered = lower(conv_graph(x, w, affine(1.0), np.array([1, 2], np.int32), bias), ORT)
    assert op in [layer.op for layer in lowered.layers]


@pytest.mark.parametrize(
    ("zero", "op", "exact"),
    [(0, "conv", True), (7, "island", False)],  # Relu goes away only where no code means a negative real
)
def test_a_relu_is_removed_only_where_it_changes_no_code(zero: int, op: str, exact: bool) -> None:
    tail = (Node("relu", "Relu", ("h",), ("y",)),)
    x, w = affine(0.5), affine(0.5, signed=True)
    lowered = lower(conv_graph(x, w, affine(1.0, zero), tail=tail), ORT)
    assert op in [layer.op for layer in lowered.layers]
    assert all(layer.exact for layer in lowered.layers) == exact


def test_sixteen_bits_and_mixed_signedness_stay_in_float() -> None:
    wide = Format(16, scale=(0.5,))
    for x, y in ((wide, wide), (affine(0.5), affine(0.5, signed=True))):
        lowered = lower(conv_graph(x, power(-3), y), ORT)
        assert not all(layer.exact for layer in lowered.layers)
        assert any("float island" in layer.note for layer in lowered.layers)


@pytest.mark.parametrize(
    ("a", "b", "swapped"),
    [
        ((1, 2, 4, 4), (1, 2, 4, 4), False),
        ((), (1, 2, 4, 4), True),
        ((1,), (1, 2, 4, 4), True),
        ((1, 2, 4, 4), (1,), False),
        ((1, 8, 1, 1), (3, 8, 5, 5), True),
        ((3, 8, 1, 1), (1, 8, 1, 1), False),  # the two axes of 1 are skipped, 8 is not 1
        ((1, 1), (1, 1), True),
        ((None, 2, 4, 1), (None, 2, 4, 4), True),
    ],
)
def test_a_broadcast_operand_is_the_second(a: tuple[int | None, ...], b: tuple[int | None, ...], swapped: bool) -> None:
    assert swaps_operands(a, b) == swapped


def test_functions_of_one_code_are_tables() -> None:
    for op in ("Tanh", "HardSwish", "Relu"):
        node = Node("f", op, ("x",), ("y",), {"alpha": 0.2, "beta": 0.5})
        lowered = lower(graph([node], {"x": affine(0.1, 128), "y": affine(0.05, 128)}, {}), ORT)
        assert [layer.op for layer in lowered.layers] == ["table"]
        assert lowered.layers[0].exact


@pytest.mark.parametrize(
    ("op", "attributes", "integer"),
    [
        ("Reshape", {"shape": (0, 0, 4, 4)}, True),
        ("Transpose", {"perm": (0, 1, 3, 2)}, True),
        ("Pad", {"pads": (0,) * 8, "mode": "constant"}, False),
        ("Relu", {}, False),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_behind_some_ops_without_a_quantizer_a_convolution_reads_reals(
    op: str, attributes: dict[str, object], integer: bool, kept: bool
) -> None:
    """The attribute `kept`: the file quantizes nothing there, and after most ops ONNX Runtime then has no codes."""
    notes = {"kept": ("h",)} if kept else {}
    nodes = [
        Node("move", op, ("x",), ("h",), {**attributes, **notes}),
        Node("conv", "Conv", ("h", "w"), ("y",), CONV),
    ]
    formats: dict[str, Format | None] = {"w": affine(0.5, signed=True)}
    formats.update(dict.fromkeys("xhy", affine(0.5)))
    lowered = lower(graph(nodes, formats, {}, {"w": np.ones((2, 2, 1, 1), np.int8)}), ORT)
    ops = [layer.op for layer in lowered.layers]
    assert ("conv" in ops) == (integer or not kept)
    assert ("island" in ops) == (kept and not integer)
