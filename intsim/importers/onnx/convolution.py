"""Conv and ConvInteger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.layer_bias import bias_attributes, bias_input
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.raw_integers import RAW_ACCUMULATOR, centred_operand
from intsim.importers.onnx.translate import Importer, translate
from intsim.importers.onnx.windows import window


def conv(builder: GraphBuilder, node: OnnxNode) -> None:
    """Conv on reals, or on the views of codes."""
    x, w = builder.reals(node, 0, "x"), builder.reals(node, 1, "w")
    b = bias_input(builder, node, 2)
    translate(builder, node, "Conv", [x, w, b], {**conv_attributes(node, x, w), **bias_attributes(node)})


def conv_integer(builder: GraphBuilder, node: OnnxNode) -> None:
    """ConvInteger: the int32 accumulator is the output."""
    x, w = centred_operand(builder, node, 0, 2, "x", None), centred_operand(builder, node, 1, 3, "w", 0)
    attributes = {**conv_attributes(node, x, w), "raw_output": True}
    translate(builder, node, "Conv", [x, w], attributes, codes=RAW_ACCUMULATOR)


def conv_attributes(node: OnnxNode, x: Operand, w: Operand) -> dict[str, Any]:
    """strides, dilations, pads and groups. Errors: MalformedGraph when the kernel is not that of the weights."""
    kernel = [int(n) for n in w.shape[2:] if isinstance(n, int)]
    if len(kernel) != len(w.shape) - 2 or len(w.shape) != len(x.shape):
        raise node.malformed(f"w must have the rank of x ({len(x.shape)}) and a known kernel, not rank {len(w.shape)}")
    declared = node.integers("kernel_shape")
    if declared is not None and list(declared) != kernel:
        raise node.malformed(f"kernel_shape {declared} is not that of the weights, {tuple(kernel)}")
    groups = node.integer("group", 1)
    if groups < 1:
        raise node.malformed(f"group must be 1 or more, not {groups}")
    return {**window(node, x.shape, kernel), "groups": groups}


OPS: Mapping[tuple[str, str], Importer] = {("", "Conv"): conv, ("", "ConvInteger"): conv_integer}
