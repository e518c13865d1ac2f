"""Constants and shape arithmetic: what is known when the model is read is computed then.

The result of a Shape is an array of lengths, dtype object: ints, and strings for unknown ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from intsim.importers.onnx.axes import normal_axis
from intsim.importers.onnx.builder import GraphBuilder, Operand, constant_operand
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.tensors import ELEMENT_TYPES, Array, element_type
from intsim.importers.onnx.translate import Importer


def constant(builder: GraphBuilder, node: OnnxNode) -> None:
    """Constant: a tensor, a number or a list of numbers."""
    tensor = node.tensor("value")
    if tensor is not None:
        builder.operands[node.outputs[0]] = constant_operand(node.outputs[0], *tensor)
        return
    for name, values in (
        ("value_float", lambda: node.real("value_float", 0.0, infinite=True)),
        ("value_floats", lambda: node.reals("value_floats")),
        ("value_int", lambda: node.integer("value_int", 0)),
        ("value_ints", lambda: node.integers("value_ints")),
    ):
        if name in node.attributes:
            integer = name.startswith("value_int")
            builder.set_constant(
                node.outputs[0], np.array(values(), np.int64 if integer else np.float32), integer=integer
            )
            return
    raise node.unsupported("supported: value, value_float, value_floats, value_int, value_ints")


def shape(builder: GraphBuilder, node: OnnxNode) -> None:
    """Shape: the lengths of a tensor, known or named."""
    lengths = list(builder.operand(node, 0, "data").shape)
    rank = len(lengths)
    start, end = node.integer("start", 0), node.integer("end", rank)
    builder.set_constant(node.outputs[0], lengths_array(lengths[start:end]), integer=True)


def lengths_array(lengths: Sequence[Any]) -> Array:
    """Lengths as int64, or as objects where one is unknown."""
    if all(isinstance(n, int | np.integer) for n in lengths):
        return np.array(lengths, np.int64)
    result = np.empty(len(lengths), object)
    result[:] = list(lengths)
    return result


def tidy(values: Array) -> Array:
    """An array of lengths as int64 where all are known."""
    if values.dtype == object and all(isinstance(v, int | np.integer) for v in values.reshape(-1)):
        return values.astype(np.int64)
    return values


def gather(builder: GraphBuilder, node: OnnxNode) -> None:
    """Gather from a constant or from lengths."""
    data, indices = _constant_input(builder, node, 0, "data"), builder.known(node, 1, "indices")
    if indices is None or indices.dtype.kind not in "iu" or data.ndim == 0:
        raise node.malformed("input 1 (indices) must be integers, input 0 (data) must have an axis")
    axis = normal_axis(node, node.integer("axis", 0), data.ndim)
    if indices.size and not (indices.min() >= -data.shape[axis] and indices.max() < data.shape[axis]):
        raise node.malformed(f"an index is outside the {data.shape[axis]} elements of axis {axis}")
    builder.spend(node, data.size // max(data.shape[axis], 1) * indices.size)
    _set(builder, node, np.array(np.take(data, indices.astype(np.int64), axis=axis), data.dtype))


def cast(builder: GraphBuilder, node: OnnxNode) -> None:
    """Cast: of a constant to any type; of data only where nothing changes, or from codes to their own value."""
    x = builder.operand(node, 0, "input")
    kind = element_type(node.integer("to", 0), node.where)
    if x.constant is not None:
        values = x.reals
        assert values is not None
        if values.dtype != object:
            with np.errstate(all="ignore"):
                values = values.astype(kind.dtype)
            if kind.name == "bfloat16":
                raise node.unsupported("to bfloat16; supported: to float16, float32, float64, integers")
            builder.operands[node.outputs[0]] = constant_operand(node.outputs[0], values, kind)
        else:
            builder.set_constant(node.outputs[0], values, integer=True)
        return
    raise node.unsupported(f"of data to {kind.name}; supported: of constants (QuantizeLinear makes codes)")


def constant_of_shape(builder: GraphBuilder, node: OnnxNode) -> None:
    """ConstantOfShape: one value, float32 zero unless said."""
    lengths = builder.known(node, 0, "shape")
    value, kind = node.tensor("value") or (np.zeros(1, np.float32), ELEMENT_TYPES[1])
    if lengths is None or lengths.dtype.kind not in "iu" or lengths.ndim != 1 or value.size != 1:
        raise node.malformed("the shape must be a list of lengths, the value one number")
    dims = _lengths(builder, node, lengths)
    builder.operands[node.outputs[0]] = constant_operand(
        node.outputs[0], np.full(dims, value.reshape(-1)[0], value.dtype), kind
    )


def expand(builder: GraphBuilder, node: OnnxNode) -> None:
    """Expand of a constant."""
    data, lengths = _constant_input(builder, node, 0, "input"), builder.known(node, 1, "shape")
    if lengths is None or lengths.dtype.kind not in "iu" or lengths.ndim != 1:
        raise node.malformed("the shape must be a list of lengths")
    dims = _lengths(builder, node, lengths)
    try:
        result = np.broadcast_shapes(data.shape, dims)
    except ValueError:
        raise node.malformed(f"{data.shape} does not broadcast to {dims}") from None
    builder.spend(node, math.prod(result))
    _set(builder, node, np.ascontiguousarray(np.broadcast_to(data, result)))


def _lengths(builder: GraphBuilder, node: OnnxNode, lengths: Array) -> tuple[int, ...]:
    dims = tuple(int(n) for n in lengths)
    if any(n < 0 for n in dims):
        raise node.malformed(f"shape {dims} has a negative length")
    builder.spend(node, math.prod(dims))
    return dims


def _constant_input(builder: GraphBuilder, node: OnnxNode, index: int, what: str) -> Array:
    values = builder.operand(node, index, what).reals
    if values is None:
        raise node.unsupported(f"input {index} ({what}) is data; supported: constants and shapes")
    return values


def _set(builder: GraphBuilder, node: OnnxNode, values: Array) -> None:
    """The node's output is this constant. Integers keep no Format: int64 and lengths have none."""
    values = tidy(values)
    kind = next((k for k in ELEMENT_TYPES.values() if k.dtype == values.dtype and k.bits >= 8), None)
    if kind is None:
        builder.set_constant(node.outputs[0], values, integer=True)
    else:
        builder.operands[node.outputs[0]] = constant_operand(node.outputs[0], values, kind)


def _divide(a: Array, b: Array) -> Array:
    """ONNX's Div: integers truncate toward zero."""
    if a.dtype.kind == "f":
        return a / b
    if np.any(b == 0):
        raise ZeroDivisionError
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient).astype(a.dtype)


ARITHMETIC: Mapping[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": _divide,
    "Min": np.minimum,
    "Max": np.maximum,
}


def fold_arithmetic(builder: GraphBuilder, node: OnnxNode, operands: Sequence[Operand]) -> None:
    """The constant that an elementwise op makes of constants, in their own type; unknown lengths stay unknown."""
    arrays = [a for o in operands if (a := o.reals) is not None]
    try:
        builder.spend(node, math.prod(np.broadcast_shapes(*(a.shape for a in arrays))))
    except ValueError:
        raise node.malformed(f"shapes {', '.join(str(a.shape) for a in arrays)} do not broadcast") from None
    result = arrays[0]
    for array in arrays[1:]:
        result = _apply(node, result, array)
    _set(builder, node, result)


def _apply(node: OnnxNode, a: Array, b: Array) -> Array:
    if a.dtype == object or b.dtype == object:
        return np.asarray(np.frompyfunc(lambda x, y: _length(node, x, y), 2, 1)(a, b), object)
    if a.dtype != b.dtype:
        raise node.malformed(f"types {a.dtype} and {b.dtype} differ")
    try:
        with np.errstate(all="ignore"):
            return np.asarray(ARITHMETIC[node.op](a, b))
    except ZeroDivisionError:
        raise node.malformed("divides by zero") from None


def _length(node: OnnxNode, x: Any, y: Any) -> Any:
    """One length of two; a name stays where the other number changes nothing, else the length is a new unknown."""
    if isinstance(x, str) or isinstance(y, str):
        neutral = {"Mul": 1, "Div": 1, "Add": 0, "Sub": 0}.get(node.op)
        if neutral is not None and y == neutral:
            return x
        if x == neutral and node.op in ("Mul", "Add"):
            return y
        return node.outputs[0]
    return _apply(node, np.array(x, np.int64), np.array(y, np.int64)).item()


OPS: Mapping[tuple[str, str], Importer] = {
    ("", "Constant"): constant,
    ("", "Shape"): shape,
    ("", "Gather"): gather,
    ("", "Cast"): cast,
    ("", "ConstantOfShape"): constant_of_shape,
    ("", "Expand"): expand,
}
