"""Every op at opsets from 13 to the newest of onnx: quantized by ONNX Runtime, in either form, and equal to it.

Each time at the opsets in which an op changes and a third of the others, in turn; before a release at every one.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import version_converter

import intsim
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.small import small, small_input
from tests.processor import ONNXRUNTIME

pytest.importorskip("onnxruntime")

OLDEST, NEWEST = 13, onnx.defs.onnx_opset_version()
NEWEST_OF_ONNXRUNTIME = 26
WRITTEN_FOR = 17  # what tests.models.small writes; onnx converts to newer ones
CONFIGURATIONS_HERE = ("qdq-u8-asymmetric-channel", "qoperator-s8-symmetric-tensor")
"""Taken in turns, opset by opset."""

CALIBRATION_SAMPLES = 8
SAMPLES = 8

FIRST_OPSET = {"hard_swish": 14}
RESUMED = {"softmax": 1}
"""Tensors taken from ONNX Runtime: see test_small_graphs."""

ONE_FOR_EACH_OP = (
    "conv_1d_everything",
    "conv_same_lower",
    "gemm",
    "matmul",
    "add_constant",
    "sub",
    "mul",
    "concat_last_axis",
    "clip",
    "leaky_relu",
    "prelu",
    "sigmoid",
    "tanh",
    "hard_sigmoid",
    "hard_swish",
    "max_pool_ceil",
    "average_pool_include_pad",
    "average_pool_ceil",
    "global_average_pool",
    "reduce_mean",
    "flatten",
    "reshape",
    "transpose",
    "squeeze",
    "slice_backwards",
    "split",
    "pad_value",
    "pad_edge",
    "identity",
    "dropout",
    "batch_norm",
    "resize_nearest_half_pixel",
    "softmax",
)


def float_model(name: str, opset: int) -> onnx.ModelProto:
    if opset <= WRITTEN_FOR:
        return small(name, opset=opset)
    return version_converter.convert_version(small(name), opset)


def chosen(name: str, opsets: range) -> list[int]:
    """The first and the last opset, those in which an op of the graph is called anew, and a third of the others."""
    wanted = {opsets[0], opsets[-1]}
    for op in {node.op_type for node in small(name).graph.node}:
        forms = {opset: form(op, opset) for opset in opsets}
        wanted |= {opset for opset in opsets[1:] if forms[opset] != forms[opset - 1]}
    turn = ONE_FOR_EACH_OP.index(name)
    return [opset for opset in opsets if opset in wanted or (opset + turn) % 3 == 0]


def form(op: str, opset: int) -> tuple[list[str], list[str]]:
    """The inputs and the attributes of an op in an opset."""
    schema = onnx.defs.get_schema(op, opset)
    return [given.name for given in schema.inputs], sorted(schema.attributes)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.release)], ids=["some", "every"])
@pytest.mark.parametrize("name", ONE_FOR_EACH_OP)
def test_every_opset_equals_onnxruntime(name: str, every: bool) -> None:
    x = small_input(name, SAMPLES)
    opsets = range(FIRST_OPSET.get(name, OLDEST), NEWEST_OF_ONNXRUNTIME + 1)
    for opset in opsets if every else chosen(name, opsets):
        prepared = preprocess(float_model(name, opset))
        configuration = CONFIGURATIONS_HERE[opset % len(CONFIGURATIONS_HERE)]
        quantized = quantize(prepared, CONFIGURATIONS[configuration], x[:CALIBRATION_SAMPLES])
        assert quantized.opset_import[0].version == opset
        found = intsim.compare(intsim.load(quantized, target=ONNXRUNTIME), "onnxruntime", x)
        assert found.equal, f"opset {opset}, {configuration}\n{found.table()}"
        assert found.unmatched == ()
        assert len(found.resumed) == RESUMED.get(name, 0)


@pytest.mark.parametrize("name", ONE_FOR_EACH_OP)
def test_opsets_that_are_newer_than_onnxruntime_mean_the_same(name: str) -> None:
    """None of these ops has changed since: the same file under a newer opset gives the same codes."""
    x = small_input(name, SAMPLES)
    prepared = preprocess(float_model(name, NEWEST_OF_ONNXRUNTIME))
    quantized = quantize(prepared, CONFIGURATIONS["qdq-u8-asymmetric-channel"], x[:CALIBRATION_SAMPLES])
    expected = intsim.load(quantized, target=ONNXRUNTIME).run(x, taps=["codes"]).taps
    for opset in range(NEWEST_OF_ONNXRUNTIME + 1, NEWEST + 1):
        quantized.opset_import[0].version = opset
        found = intsim.load(quantized, target=ONNXRUNTIME).run(x, taps=["codes"]).taps
        assert list(found) == list(expected)
        for tensor, tap in expected.items():
            np.testing.assert_array_equal(found[tensor].codes, tap.codes, strict=True)
