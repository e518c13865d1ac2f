"""The QOperator dialect: QLinear ops of ONNX and of com.microsoft, codes in and codes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.activation import softmax_attributes
from intsim.importers.onnx.axes import normal_axis
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.convolution import conv_attributes
from intsim.importers.onnx.matmul import gemm_attributes, transposed
from intsim.importers.onnx.onnx_node import MICROSOFT, OnnxNode
from intsim.importers.onnx.pooling import average_attributes, reduce_attributes
from intsim.importers.onnx.quantizers import located
from intsim.importers.onnx.tensors import CODE_TYPES, Array
from intsim.importers.onnx.translate import Importer, translate, view_as
from intsim.ops import Shape


def coded(
    builder: GraphBuilder, node: OnnxNode, index: int, scale_index: int, what: str, axis: int | None = None
) -> Operand:
    """The codes of an input with the scale and zero point that follow at scale_index. axis: if per channel."""
    x = builder.operand(node, index, what)
    if not x.integer or x.format is None:
        raise node.malformed(f"{what} must be codes of one of the types {CODE_TYPES}")
    format = _format(builder, node, x.format, x.shape, scale_index, what, axis)
    return replace(view_as(builder, node, x, format, f"{node.outputs[0]}#{what}"), integer=False, sources=())


def result(builder: GraphBuilder, node: OnnxNode, scale_index: int, like: Format | None) -> Format:
    """The output's Format: scale and zero point at scale_index; its type is the zero point's, else that of x."""
    zero = builder.optional(node, scale_index + 1)
    kind = zero.format if zero is not None and zero.integer else like
    if kind is None:
        raise node.malformed(f"zero point of the output must be of one of the types {CODE_TYPES}")
    return _format(builder, node, Format(kind.bits, kind.signed), (), scale_index, "y", None)


def _format(
    builder: GraphBuilder,
    node: OnnxNode,
    kind: Format,
    shape: Shape,
    scale_index: int,
    what: str,
    axis: int | None,
) -> Format:
    scale = builder.known(node, scale_index, f"{what} scale")
    if scale is None:
        raise node.malformed(f"input {scale_index} (scale of {what}) is missing")
    zero = builder.known(node, scale_index + 1, f"{what} zero point")
    scale, zero = _matched(node, what, scale, zero)
    at = None
    if scale.size > 1:
        if axis is None:
            raise node.unsupported(f"{scale.size} scales for {what}; supported: one")
        at = normal_axis(node, axis, len(shape))
        if shape[at] != scale.size:
            raise node.malformed(f"{scale.size} scales for axis {at} of {what}, which has length {shape[at]}")
    bare = replace(kind, scale=(1.0,), zero_point=(0,), axis=None)
    return located(bare, scale, zero, at, node)


def _matched(node: OnnxNode, what: str, scale: Array, zero: Array | None) -> tuple[Array, Array]:
    """Scale and zero point of one length: one zero point may serve all scales."""
    if zero is None:
        return scale, np.zeros(scale.size, np.int64)
    if scale.ndim > 1 or zero.ndim > 1:
        raise node.unsupported(f"scale or zero point of {what} of rank 2 or more; supported: per tensor or channel")
    if zero.size == 1:
        return scale, np.broadcast_to(zero.reshape(-1), (scale.size,))
    if zero.size != scale.size:
        raise node.malformed(f"{zero.size} zero points for {scale.size} scales of {what}")
    return scale, zero


def conv(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearConv: x, w, y each with scale and zero point, int32 bias of scale x_scale * w_scale."""
    _refuse_channels_last(node)
    x, w = coded(builder, node, 0, 1, "x"), coded(builder, node, 3, 4, "w", 0)
    b = bias(builder, node, 8, x, w, 1.0)
    put(builder, node, "Conv", [x, w, b], conv_attributes(node, x, w), 6)


def bias(builder: GraphBuilder, node: OnnxNode, index: int, x: Operand, w: Operand, alpha: float) -> Operand | None:
    """The int32 bias, in units of the accumulator: scale float32(alpha * x_scale * w_scale), zero point 0."""
    b = builder.optional(node, index)
    if b is None:
        return None
    if not b.integer or b.format is None or b.format.bits != 32:
        raise node.malformed("the bias must be int32")
    assert x.format is not None
    assert w.format is not None
    with np.errstate(over="ignore"):
        scale = np.float32(alpha) * x.format.scales * w.format.scales
    axis = len(b.shape) - 1 if scale.size > 1 else None
    if axis is not None and (axis < 0 or b.shape[axis] != scale.size):
        raise node.malformed(f"a bias of shape {b.shape} for {scale.size} channels")
    format = located(Format(32), scale, np.zeros(scale.size, np.int64), axis, node)
    return replace(view_as(builder, node, b, format, f"{node.outputs[0]}#bias"), integer=False)


def matmul(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearMatMul; b per tensor or per column."""
    a, b = coded(builder, node, 0, 1, "a"), coded(builder, node, 3, 4, "b", -1)
    put(builder, node, "MatMul", [a, b], {}, 6)


def gemm(builder: GraphBuilder, node: OnnxNode) -> None:
    """com.microsoft QGemm: int32 C in units of the accumulator; without y scale its output is real."""
    a = coded(builder, node, 0, 1, "a")
    turned = bool(node.integer("transB", 0))
    b = coded(builder, node, 3, 4, "b", 0 if turned else 1)
    b = transposed(builder, node, b) if turned else b
    a = transposed(builder, node, a) if node.integer("transA", 0) else a
    c = bias(builder, node, 6, a, b, node.real("alpha", 1.0))
    put(builder, node, "Gemm", [a, b, c], {**gemm_attributes(node), "beta": 1.0}, 7)


def binary(op: str) -> Importer:
    """The importer of QLinearAdd or QLinearMul."""

    def importer(builder: GraphBuilder, node: OnnxNode) -> None:
        a, b = coded(builder, node, 0, 1, "a"), coded(builder, node, 3, 4, "b")
        put(builder, node, op, [a, b], {}, 6)

    return importer


def unary(op: str, attributes: Sequence[tuple[str, float]] = ()) -> Importer:
    """The importer of a QLinear op of one input, with float attributes (name, default)."""

    def importer(builder: GraphBuilder, node: OnnxNode) -> None:
        floats = {name: node.real(name, default) for name, default in attributes}
        put(builder, node, op, [coded(builder, node, 0, 1, "x")], floats, 3)

    return importer


def concat(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearConcat: y scale and zero point first, then (x, scale, zero point) for each input."""
    if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
        raise node.malformed(f"takes 2 + 3 n inputs, not {len(node.inputs)}")
    operands = [coded(builder, node, i, i + 1, f"x{i // 3}") for i in range(2, len(node.inputs), 3)]
    axis = normal_axis(node, node.integer("axis", 0), len(operands[0].shape))
    put(builder, node, "Concat", operands, {"axis": axis}, 0)


def average_pool(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearAveragePool."""
    _refuse_channels_last(node)
    x = coded(builder, node, 0, 1, "x")
    put(builder, node, "AveragePool", [x], average_attributes(node, x), 3)


def global_average_pool(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearGlobalAveragePool."""
    _refuse_channels_last(node)
    put(builder, node, "GlobalAveragePool", [coded(builder, node, 0, 1, "x")], {}, 3)


def reduce_mean(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearReduceMean."""
    x = coded(builder, node, 0, 1, "x")
    put(builder, node, "ReduceMean", [x], reduce_attributes(node, x, node.integers("axes") or ()), 3)


def softmax(builder: GraphBuilder, node: OnnxNode) -> None:
    """QLinearSoftmax along one axis."""
    x = coded(builder, node, 0, 1, "x")
    put(builder, node, "Softmax", [x], softmax_attributes(node, x, node.integer("opset", 13), -1), 3)


def put(
    builder: GraphBuilder,
    node: OnnxNode,
    op: str,
    inputs: Sequence[Operand | None],
    attributes: Mapping[str, Any],
    scale_index: int,
) -> None:
    """Add the node, marked as a kernel on integers. scale_index: of the output's scale; absent: a real output."""
    first = inputs[0]
    real = builder.optional(node, scale_index) is None and op == "Gemm"
    codes = None if real else result(builder, node, scale_index, first.format if first is not None else None)
    translate(builder, node, op, inputs, {**attributes, "integer_kernel": True}, codes=codes)


def _refuse_channels_last(node: OnnxNode) -> None:
    if node.integer("channels_last", 0):
        raise node.unsupported("channels_last (NHWC) is not supported; supported: channels_last 0 (NCHW)")


OPS: Mapping[tuple[str, str], Importer] = {
    ("", "QLinearConv"): conv,
    ("", "QLinearMatMul"): matmul,
    **{
        (MICROSOFT, op): function
        for op, function in (
            ("QLinearConv", conv),
            ("QGemm", gemm),
            ("QLinearAdd", binary("Add")),
            ("QLinearMul", binary("Mul")),
            ("QLinearSigmoid", unary("Sigmoid")),
            ("QLinearLeakyRelu", unary("LeakyRelu", [("alpha", 0.01)])),
            ("QLinearConcat", concat),
            ("QLinearAveragePool", average_pool),
            ("QLinearGlobalAveragePool", global_average_pool),
            ("QLinearReduceMean", reduce_mean),
            ("QLinearSoftmax", softmax),
        )
    },
}
