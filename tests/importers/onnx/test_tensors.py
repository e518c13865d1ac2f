from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper

from intsim.errors import MalformedGraph, UnsupportedOp
from intsim.importers.onnx.tensors import ELEMENT_TYPES, Array, element_type, read_tensor

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)


@given(st.data())
@pytest.mark.parametrize("kind", sorted(ELEMENT_TYPES))
def test_every_type_is_read_as_onnx_reads_it(kind: int, data: st.DataObject) -> None:
    """Both as raw bytes and as numbers in the typed fields; onnx's own reader is the judge."""
    element = ELEMENT_TYPES[kind]
    shape = data.draw(SHAPES)
    if element.integer:
        low, high = (-(1 << (element.bits - 1)), 1 << (element.bits - 1)) if element.signed else (0, 1 << element.bits)
        values = data.draw(hnp.arrays(object, shape, elements=st.integers(low, high - 1)))
    elif element.name == "bool":
        values = data.draw(hnp.arrays(bool, shape))
    else:
        values = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=16)))
    array = values.astype(helper.tensor_dtype_to_np_dtype(kind))
    raw = helper.make_tensor(
        "t", kind, shape, array.tobytes() if element.bits >= 8 else packed(array, element.bits), raw=True
    )
    typed = helper.make_tensor("t", kind, shape, array.reshape(-1).tolist())
    for tensor in (raw, typed):
        result = read_tensor(tensor, "t")
        assert result.dtype == element.dtype
        assert result.shape == shape
        np.testing.assert_array_equal(result, numpy_helper.to_array(tensor).astype(element.dtype))
        assert not result.flags.writeable


def packed(array: Array, bits: int) -> bytes:
    """Codes packed from the lowest bits of each byte up."""
    codes = array.reshape(-1).astype(np.int64) & ((1 << bits) - 1)
    per_byte = 8 // bits
    codes = np.concatenate([codes, np.zeros(-len(codes) % per_byte, np.int64)]).reshape(-1, per_byte)
    return bytes((codes << (np.arange(per_byte) * bits)).sum(1).astype(np.uint8))


def test_sizes_are_checked_before_memory_is_taken() -> None:
    for dims in ([2**40], [2**62, 2**62], [2**31, 2**31, 2**31]):
        for kind in (TensorProto.INT8, TensorProto.INT4, TensorProto.FLOAT):
            with pytest.raises(MalformedGraph, match=r"t: 0 values in (int32|float)_data, but .* needs"):
                read_tensor(TensorProto(dims=dims, data_type=kind), "t")
            with pytest.raises(MalformedGraph, match=r"t: 3 bytes of data, but .* needs"):
                read_tensor(TensorProto(dims=dims, data_type=kind, raw_data=b"abc"), "t")


def test_values_outside_their_type() -> None:
    tensor = TensorProto(dims=[2], data_type=TensorProto.INT8, int32_data=[1, 300])
    with pytest.raises(MalformedGraph, match="t: a value in int32_data is outside int8"):
        read_tensor(tensor, "t")


def test_types_without_a_reader() -> None:
    with pytest.raises(UnsupportedOp, match="element type float8e4m3fn is not supported; codes are int2, uint2, int4"):
        element_type(TensorProto.FLOAT8E4M3FN, "t")
    for number in (0, -1, 99):
        with pytest.raises(MalformedGraph, match=f"element type {number} does not exist"):
            element_type(number, "t")
