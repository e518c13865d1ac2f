"""ONNX Runtime 1.31 on x86-64: which quantized patterns run as integer kernels, and their float32 parameters.

Established by experiment on the optimized graphs that ONNX Runtime writes (graph optimization level extended, session
entry session.qdqisint8allowed = 1) and on the codes that it computes. A pattern that is not listed runs in float32:
dequantize, the op, quantize.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering.builder import LayerBuilder
from intsim.lowering.clamps import Clamp
from intsim.ops import CLAMPS, CONVERTS, INTERNAL, MACS, MAPS, MOVES

BIAS_SCALE_TOLERANCE = 0.01
"""A Conv whose bias scale differs from x_scale * w_scale by more (relative) stays in float."""

INTEGER_OPS = frozenset({"Conv", "MatMul", "Gemm", "Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool"})
"""Ops with an integer kernel between 8-bit formats of one signedness."""

PROPAGATED_OPS = frozenset({"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"})
"""Ops without a quantizer of their own in the file, across which ONNX Runtime moves a DequantizeLinear."""

TABLE_OPS = MAPS | CLAMPS | {"Requantize"}
"""Functions of one code: integer kernel or float island, a table of their float32 results is exact."""


def float_reason(graph: Graph, node: Node, clamp: Clamp, in_tail: bool) -> str | None:
    """Why ONNX Runtime computes a node in float32; None where it is an integer kernel, a movement or a table."""
    if node.op in (CONVERTS | INTERNAL) - TABLE_OPS:
        return None
    if node.op in MOVES | TABLE_OPS:  # moved codes are the same, whether it moves them or dequantized reals
        real = next((n for n in (node.inputs[0], *node.outputs) if graph.format(n) is None), None)
        return None if real is None else f"tensor {real!r} is not quantized"
    if node.op not in INTEGER_OPS:
        return f"ONNX Runtime has no integer kernel for {node.op}"
    operands = node.inputs[:2] if node.op in MACS else node.inputs
    formats = []
    for name in operands:
        format = graph.format(name)
        if format is None:
            return f"tensor {name!r} is not quantized"
        if format.levels is not None:
            return f"{format.levels.rule} weights are multiplied in float by ONNX Runtime"
        if node.op != "AveragePool" and (between := _float_between(graph, name)):
            return f"tensor {name!r} is real: ONNX Runtime does not move a DequantizeLinear across {between}"
        formats.append(format)
    y = graph.format(clamp.output)
    if node.attributes.get("integer_kernel"):
        return None
    if y is None:
        return None if node.op in MACS - {"Conv"} else f"tensor {clamp.output!r} is not quantized"
    wide = next((f for f in (*formats, y) if f.bits != 8), None)
    if wide is not None and not (node.op in ("Conv", "MatMul") and y.bits == 32):
        return f"{node.op} with a {wide.bits}-bit tensor has no integer kernel"
    activations = formats[:1] if node.op in MACS else formats
    if y.bits == 8 and any(f.signed != y.signed for f in activations):
        return "its input and output differ in signedness"
    if clamp.nodes and clamp.codes(y) is not None:
        return f"its {clamp.nodes[0].op} changes codes, so it cannot be removed"
    if node.op == "Conv" and len(node.inputs) > 2 and node.inputs[2]:
        return _bias_reason(graph, node, formats)
    return None


def _float_between(graph: Graph, name: str) -> str | None:
    """The op that keeps a tensor real in ONNX Runtime although its values are codes; None where its codes are read."""
    node = graph.producer(name)
    while node is not None and name in node.attributes.get("kept", ()):
        if node.op not in PROPAGATED_OPS:
            return node.op
        name = node.inputs[0]
        node = graph.producer(name)
    return None


def _bias_reason(graph: Graph, node: Node, formats: list[Format]) -> str | None:
    bias = graph.format(node.inputs[2])
    if bias is None:
        return None  # quantized by ONNX Runtime itself: bias_codes
    if node.attributes.get("aligned_bias"):
        return None  # the file has it at x_scale * w_scale
    expected = formats[0].scales * formats[1].scales
    if (np.abs(bias.scales - expected) > BIAS_SCALE_TOLERANCE * expected).any():
        return "the scale of its bias is not x_scale * w_scale"
    return None


def multiplier(node: Node, x: Format, w: Format, y: Format) -> Any:
    """The requantizer's float32 multiplier, scalar or [channels]: ((alpha * x_scale) * w_scale) / y_scale."""
    alpha = np.float32(node.attributes.get("alpha", 1.0))
    result = ((alpha * x.scales) * w.scales) / y.scales
    return result[0] if result.size == 1 else result


def bias_codes(
    values: np.ndarray[Any, Any], format: Format | None, unit: Format
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The int32 codes that join the accumulator, int64[channels]: the codes as they are, whatever their scale.

    A real bias becomes half_even(float32(b / (x_scale * w_scale))): ONNX Runtime's weight_bias_quantization.cc.
    """
    if format is not None:
        return values.astype(np.int64)
    return np.rint(values.astype(np.float32) / unit.scales).astype(np.int64)


def elementwise(
    builder: LayerBuilder, node: Node, names: tuple[str, ...], a: Format, b: Format, y: Format
) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    """The spec function, operands and float32 parameters of Add or Mul, in the order that the kernel takes them."""
    shape_a, shape_b = (builder.graph.values[n].shape for n in names)
    if swaps_operands(shape_a, shape_b):
        names, a, b = (names[1], names[0]), b, a
    zeros = {"a_zero": a.zero_point[0], "b_zero": b.zero_point[0]}
    if node.op == "Mul":
        return "mul_float32", names, {"ratio": (a.scales * b.scales)[0] / y.scales[0], **zeros}
    ratios = {"a_ratio": a.scales[0] / y.scales[0], "b_ratio": b.scales[0] / y.scales[0]}
    return "add_float32", names, {**ratios, **zeros}


def swaps_operands(shape_a: tuple[int | None, ...], shape_b: tuple[int | None, ...]) -> bool:
    """Whether the kernel swaps its operands so that the broadcast one is the second.

    From the last axis on, axes of length 1 in both are skipped, but for the last one left; it swaps where the first
    operand's length is 1 at the axis so reached.
    """
    common = min(len(shape_a), len(shape_b))
    if common == 0:
        return len(shape_a) == 0
    for axis in range(1, common + 1):
        if axis == common or not shape_a[-axis] == shape_b[-axis] == 1:
            return shape_a[-axis] == 1
    return False


def pools_whole_image(graph: Graph, node: Node) -> bool:
    """Whether an AveragePool's one window is the whole image, which ONNX Runtime computes as a global mean."""
    shape = graph.values[node.inputs[0]].shape[2:]
    return tuple(node.attributes["kernel"]) == tuple(shape) and not any(node.attributes["pads"])
