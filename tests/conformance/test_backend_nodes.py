"""ONNX's own vectors: the node tests of the quantization ops in onnx.backend.test, byte for byte.

A test's scales and zero points are inputs of its graph; a quantized network has them as constants, so they are made
initializers here. The operands stay inputs, or the second one becomes a constant as weights are.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

import intsim
from intsim.errors import UnsupportedOp

OPS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)

EQUAL = (
    "convinteger_with_padding",
    "convinteger_without_padding",
    "dequantizelinear",
    "dequantizelinear_axis",
    "dequantizelinear_int16",
    "dequantizelinear_int2",
    "dequantizelinear_int4",
    "dequantizelinear_uint16",
    "dequantizelinear_uint2",
    "dequantizelinear_uint4",
    "matmulinteger",
    "qlinearconv",
    "qlinearmatmul_2D_int8_float16",
    "qlinearmatmul_2D_int8_float32",
    "qlinearmatmul_2D_uint8_float16",
    "qlinearmatmul_2D_uint8_float32",
    "qlinearmatmul_3D_int8_float16",
    "qlinearmatmul_3D_int8_float32",
    "qlinearmatmul_3D_uint8_float16",
    "qlinearmatmul_3D_uint8_float32",
    "quantizelinear",
    "quantizelinear_axis",
    "quantizelinear_int16",
    "quantizelinear_int2",
    "quantizelinear_int4",
    "quantizelinear_uint16",
    "quantizelinear_uint2",
    "quantizelinear_uint4",
)
"""The tests that run, and are equal."""

FLOAT8 = "element type float8e"
FLOAT4 = "element type float4e2m1"
BLOCKS = "block_size is not supported"
DYNAMIC = "(DynamicQuantizeLinear): this op is not supported"
EXPANDED = "(ReduceMin): this op is not supported"
REASONS = {
    FLOAT8: "codes are 8-bit floats, not integers",
    FLOAT4: "codes are 4-bit floats, not integers",
    BLOCKS: "a scale per block of a channel: no target requantizes sums of such products in integers",
    DYNAMIC: "its scale is computed from each input at run time, so that no format is known before",
    EXPANDED: "the same, written out in float ops",
}
"""What the error says -> why the test cannot run."""

REFUSED: Mapping[str, str] = {
    "dequantizelinear_blocked": BLOCKS,
    "dequantizelinear_e4m3fn": FLOAT8,
    "dequantizelinear_e4m3fn_float16": FLOAT8,
    "dequantizelinear_e4m3fn_zero_point": FLOAT8,
    "dequantizelinear_e5m2": FLOAT8,
    "dequantizelinear_float4e2m1": FLOAT4,
    "dynamicquantizelinear": DYNAMIC,
    "dynamicquantizelinear_expanded": EXPANDED,
    "dynamicquantizelinear_max_adjusted": DYNAMIC,
    "dynamicquantizelinear_max_adjusted_expanded": EXPANDED,
    "dynamicquantizelinear_min_adjusted": DYNAMIC,
    "dynamicquantizelinear_min_adjusted_expanded": EXPANDED,
    "quantizelinear_blocked_asymmetric": BLOCKS,
    "quantizelinear_blocked_symmetric": BLOCKS,
    "quantizelinear_e4m3fn": FLOAT8,
    "quantizelinear_e5m2": FLOAT8,
    "quantizelinear_float4e2m1": FLOAT4,
}
"""The tests that do not run -> the error that they are refused with."""


class Case(NamedTuple):
    """One node test: the model as onnx makes it, its inputs in order, and its outputs."""

    model: onnx.ModelProto
    inputs: list[TensorProto]
    outputs: list[TensorProto]


@pytest.fixture(scope="module")
def cases() -> Mapping[str, Case]:
    """The node tests whose graph has one of OPS, by name without `test_`."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx divides by zero on purpose when it makes other tests
        tests = load_model_tests(kind="node")
    found = {}
    for test in tests:
        assert test.model is not None
        if not OPS.isdisjoint(node.op_type for node in test.model.graph.node):
            assert test.data_sets is not None
            ((inputs, outputs),) = test.data_sets
            graph = test.model.graph
            found[test.name.removeprefix("test_")] = Case(
                test.model, _tensors(graph.input, inputs), _tensors(graph.output, outputs)
            )
    return found


def _tensors(declared: Any, values: Any) -> list[TensorProto]:
    """The values as the TensorProtos that the graph declares: some of them come as arrays."""
    made = []
    for info, value in zip(declared, values, strict=True):
        tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(value)
        assert tensor.data_type == info.type.tensor_type.elem_type, info.name
        tensor = TensorProto.FromString(tensor.SerializeToString())
        tensor.name = info.name
        made.append(tensor)
    return made


def frozen(case: Case, *, constant_operand: bool) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """The model with its quantization parameters as initializers, and the feeds for what is left."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    feeds = {}
    del model.graph.input[:]
    for position, (info, tensor) in enumerate(zip(case.model.graph.input, case.inputs, strict=True)):
        if "scale" in info.name or "zero_point" in info.name or (constant_operand and position > 0):
            model.graph.initializer.append(tensor)
        else:
            model.graph.input.append(info)
            feeds[info.name] = codes_or_reals(tensor)
    return model, feeds


def codes_or_reals(tensor: TensorProto) -> NDArray[Any]:
    """The array; codes of 2 and 4 bits in int8 or uint8, where NumPy has no type for them."""
    name = TensorProto.DataType.Name(tensor.data_type)
    array = numpy_helper.to_array(tensor)
    narrow = {"INT2": np.int8, "INT4": np.int8, "UINT2": np.uint8, "UINT4": np.uint8}
    return array.astype(narrow[name]) if name in narrow else array


def test_every_node_test_is_run_or_named(cases: Mapping[str, Case]) -> None:
    assert len(EQUAL) + len(REFUSED) == 45
    assert sorted([*EQUAL, *REFUSED]) == sorted(cases)
    assert set(REFUSED.values()) == set(REASONS)


@pytest.mark.parametrize("engine", ["kernels", "spec"])
@pytest.mark.parametrize("constant_operand", [False, True], ids=["operands", "weights"])
@pytest.mark.parametrize("name", EQUAL)
def test_equal_byte_for_byte(cases: Mapping[str, Case], name: str, constant_operand: bool, engine: str) -> None:
    case = cases[name]
    model, feeds = frozen(case, constant_operand=constant_operand)
    result = intsim.load(model, target="onnxruntime").run(feeds, engine=engine)
    assert len(case.outputs) == 1
    for expected in case.outputs:
        output = result.outputs[expected.name]
        array = codes_or_reals(expected)
        if array.dtype.kind == "f":
            actual = output.real
        else:
            assert output.codes is not None
            assert output.format is not None
            actual = output.codes
            width = TensorProto.DataType.Name(expected.data_type).lower().removeprefix("u").removeprefix("int")
            assert output.format.bits == int(width)
        assert (actual.dtype, actual.shape) == (array.dtype, array.shape)
        assert actual.tobytes() == np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("name", REFUSED)
def test_the_others_are_refused_for_the_reason_named(cases: Mapping[str, Case], name: str) -> None:
    model, _ = frozen(cases[name], constant_operand=False)
    with pytest.raises(UnsupportedOp) as refused:
        intsim.load(model, target="onnxruntime")
    assert REFUSED[name] in str(refused.value)
    assert "\n" not in str(refused.value)
