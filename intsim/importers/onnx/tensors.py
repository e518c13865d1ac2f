"""TensorProto -> NumPy array: sizes are checked before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto

from intsim.errors import MalformedGraph, UnsupportedOp

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ElementType:
    """An element type of ONNX: its name, bits, and the NumPy dtype that its values are kept in."""

    name: str
    bits: int
    dtype: np.dtype[Any]
    signed: bool = True

    @property
    def integer(self) -> bool:
        """Whether values of this type are integers (codes, indices)."""
        return self.dtype.kind in "iu"


ELEMENT_TYPES: Mapping[int, ElementType] = {
    TensorProto.FLOAT: ElementType("float32", 32, np.dtype(np.float32)),
    TensorProto.FLOAT16: ElementType("float16", 16, np.dtype(np.float16)),
    TensorProto.BFLOAT16: ElementType("bfloat16", 16, np.dtype(np.float32)),
    TensorProto.DOUBLE: ElementType("float64", 64, np.dtype(np.float64)),
    TensorProto.BOOL: ElementType("bool", 8, np.dtype(np.bool_)),
    TensorProto.INT2: ElementType("int2", 2, np.dtype(np.int8)),
    TensorProto.UINT2: ElementType("uint2", 2, np.dtype(np.uint8), False),
    TensorProto.INT4: ElementType("int4", 4, np.dtype(np.int8)),
    TensorProto.UINT4: ElementType("uint4", 4, np.dtype(np.uint8), False),
    TensorProto.INT8: ElementType("int8", 8, np.dtype(np.int8)),
    TensorProto.UINT8: ElementType("uint8", 8, np.dtype(np.uint8), False),
    TensorProto.INT16: ElementType("int16", 16, np.dtype(np.int16)),
    TensorProto.UINT16: ElementType("uint16", 16, np.dtype(np.uint16), False),
    TensorProto.INT32: ElementType("int32", 32, np.dtype(np.int32)),
    TensorProto.UINT32: ElementType("uint32", 32, np.dtype(np.uint32), False),
    TensorProto.INT64: ElementType("int64", 64, np.dtype(np.int64)),
    TensorProto.UINT64: ElementType("uint64", 64, np.dtype(np.uint64), False),
}
"""ONNX's number -> the element types that can be read: all but strings, complex numbers and 8-bit floats."""

CODE_TYPES = "int2, uint2, int4, uint4, int8, uint8, int16, uint16, int32"


def element_type(number: int, where: str) -> ElementType:
    """The element type of that number. Errors: MalformedGraph for an unknown number, UnsupportedOp otherwise."""
    if number in ELEMENT_TYPES:
        return ELEMENT_TYPES[number]
    if number not in TensorProto.DataType.values() or number == TensorProto.UNDEFINED:
        raise MalformedGraph(f"{where}: element type {number} does not exist")
    name = TensorProto.DataType.Name(number).lower()
    raise UnsupportedOp(f"{where}: element type {name} is not supported; codes are {CODE_TYPES}, reals float32")


def byte_count(tensor: TensorProto, where: str) -> int:
    """How many bytes the tensor's raw data must have. Errors: MalformedGraph on a negative length."""
    if any(n < 0 for n in tensor.dims):
        raise MalformedGraph(f"{where}: shape {tuple(tensor.dims)} has a negative length")
    return -(-math.prod(tensor.dims) * element_type(tensor.data_type, where).bits // 8)


def read_tensor(tensor: TensorProto, where: str, external: memoryview | None = None) -> Array:
    """The tensor's values, read only. external: its bytes, where the model keeps them in another file.

    Codes of 2 and 4 bits are int8 or uint8, bfloat16 is float32. Errors: MalformedGraph when the data is
    shorter or longer than the shape says.
    """
    kind = element_type(tensor.data_type, where)
    expected = byte_count(tensor, where)
    if external is not None or tensor.HasField("raw_data"):
        raw = external if external is not None else memoryview(tensor.raw_data)
        if len(raw) != expected:
            raise MalformedGraph(
                f"{where}: {len(raw)} bytes of data, but {kind.name}[{_lengths(tensor)}] needs {expected}"
            )
        values = _from_bytes(raw, kind, math.prod(tensor.dims))
    else:
        values = _from_fields(tensor, kind, where)
    values = values.reshape(tuple(tensor.dims))
    values.flags.writeable = False
    return values


def _lengths(tensor: TensorProto) -> str:
    return ",".join(str(n) for n in tensor.dims)


def _from_bytes(raw: memoryview, kind: ElementType, count: int) -> Array:
    """Little endian; codes of 2 and 4 bits are packed from the lowest bits of each byte up."""
    if kind.bits < 8:
        packed = np.frombuffer(raw, np.uint8)
        shifts = np.arange(0, 8, kind.bits, dtype=np.uint8)
        codes = ((packed[:, None] >> shifts) & ((1 << kind.bits) - 1)).reshape(-1)[:count]
        return _sign_extended(codes, kind)
    if kind.name == "bfloat16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, kind.dtype.newbyteorder("<")).astype(kind.dtype, copy=False)


def _sign_extended(codes: Array, kind: ElementType) -> Array:
    if not kind.signed:
        return codes
    half = 1 << (kind.bits - 1)
    return ((codes ^ half).astype(np.int8) - np.int8(half)).astype(np.int8)


def _from_fields(tensor: TensorProto, kind: ElementType, where: str) -> Array:
    """The values of float_data, int32_data, …: every narrow type lies in int32_data, float16 as its bits."""
    field = {"float32": "float_data", "float64": "double_data", "int64": "int64_data"}.get(
        kind.name, "uint64_data" if kind.name in ("uint32", "uint64") else "int32_data"
    )
    data = getattr(tensor, field)
    count = math.prod(tensor.dims)
    expected = -(-count * kind.bits // 8) if kind.bits < 8 else count
    if len(data) != expected:
        raise MalformedGraph(
            f"{where}: {len(data)} values in {field}, but {kind.name}[{_lengths(tensor)}] needs {expected}"
        )
    if field in ("float_data", "double_data"):
        return np.array(data, kind.dtype)
    numbers = np.array(data, np.uint64 if field == "uint64_data" else np.int64)
    if kind.bits < 8:
        return _from_bytes(memoryview(numbers.astype(np.uint8).tobytes()), kind, count)
    if kind.name == "float16":
        return numbers.astype(np.uint16).view(np.float16)
    if kind.name == "bfloat16":
        return (numbers.astype(np.uint32) << 16).view(np.float32)
    if kind.integer and count and not np.array_equal(numbers.astype(kind.dtype), numbers):
        raise MalformedGraph(f"{where}: a value in {field} is outside {kind.name}")
    return numbers.astype(kind.dtype)
