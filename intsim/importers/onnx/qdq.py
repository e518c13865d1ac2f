"""The QDQ dialect: QuantizeLinear and DequantizeLinear around ops on reals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.onnx_node import MICROSOFT, OnnxNode
from intsim.importers.onnx.quantizers import located, parameters_of, quantizer_of
from intsim.importers.onnx.tensors import CODE_TYPES, Array
from intsim.importers.onnx.translate import Importer, requantize, view_as


def quantize(builder: GraphBuilder, node: OnnxNode) -> None:
    """QuantizeLinear: reals become codes, or codes of one format those of another."""
    x = builder.reals(node, 0, "x")
    quantizer = quantizer_of(builder, node, x.shape)
    if x.constant is not None:
        builder.spend(node, x.constant.size)
        reals = x.reals
        assert reals is not None
        codes = quantized(reals.astype(np.float32), quantizer.format, node)
        builder.set_constant(quantizer.name, codes, quantizer.format, integer=True)
        return
    requantize(builder, node, x, quantizer)


def dequantize(builder: GraphBuilder, node: OnnxNode) -> None:
    """DequantizeLinear: its output is a view of the codes; only as an output of the graph it is a node."""
    x = builder.operand(node, 0, "x")
    tensor = node.outputs[0]
    if not x.integer or x.format is None:
        raise node.malformed(f"x ({node.inputs[0]!r}) must be codes of one of the types {CODE_TYPES}")
    scale, zero_point, axis = parameters_of(builder, node, x.shape, x.format)
    format = located(replace(x.format, scale=(1.0,), zero_point=(0,), axis=None), scale, zero_point, axis, node)
    view = view_as(builder, node, x, format, tensor)
    builder.operands[tensor] = replace(view, integer=False, sources=(node.name,))
    if tensor in builder.model.outputs:
        if view.constant is not None:
            raise node.unsupported(f"output {tensor!r} of the graph is a constant: nothing is computed")
        builder.dequantize(view, tensor, node)


def quantized(reals: Array, format: Format, node: OnnxNode) -> Array:
    """Codes of constant reals: saturate(half_even(float32(r / scale)) + zero_point), as ONNX defines it."""
    if np.isnan(reals).any():
        raise node.malformed(f"constant {node.inputs[0]!r} holds NaN")
    shape = [1] * reals.ndim
    if format.per_channel and format.axis is not None:
        shape[format.axis] = -1
    scale, zero = format.scales.reshape(shape), format.zero_points.reshape(shape)
    with np.errstate(over="ignore"):
        quotient = np.rint(reals / scale)
    # Clipped before the sum, so that no float is too large for an integer.
    codes = np.clip(quotient, -(2.0**40), 2.0**40).astype(np.int64) + zero
    return np.clip(codes, format.low, format.high).astype(format.dtype)


OPS: Mapping[tuple[str, str], Importer] = {
    (domain, op): function
    for domain in ("", MICROSOFT)
    for op, function in (("QuantizeLinear", quantize), ("DequantizeLinear", dequantize))
}
