"""onnx's ReferenceEvaluator: which nodes it computes in integers; all others are float32 NumPy.

Source: onnx/onnx, onnx/reference/ops/op_qlinear_conv.py, op_qlinear_matmul.py, op_quantize_linear.py.
"""

from __future__ import annotations

from intsim.graph import Graph, Node
from intsim.lowering.clamps import Clamp
from intsim.ops import CONVERTS, INTERNAL, MACS, MOVES

EXACT_TABLES = frozenset({"Relu", "Clip", "LeakyRelu", "PRelu", "Requantize"})
"""Functions of one code whose float32 result does not depend on how NumPy orders operations."""

INTEGER_OPS = MACS | MOVES | EXACT_TABLES
"""Ops that it computes in integers, or as if."""


def float_reason(graph: Graph, node: Node, clamp: Clamp, in_tail: bool) -> str | None:
    """Why the ReferenceEvaluator computes a node in float32; None for QLinearConv, QLinearMatMul and moved codes.

    DequantizeLinear, Conv, QuantizeLinear is a float convolution there; here it is lowered as QLinearConv, so that its
    result is defined to the bit.
    """
    if node.op in (CONVERTS | INTERNAL) - EXACT_TABLES:
        return None
    names = node.inputs[:2] if node.op in MACS else node.inputs[:1]
    output = clamp.output if node.op in MACS else node.outputs[0]
    real = next((n for n in (*names, output) if graph.format(n) is None), None)
    if real is not None:
        return f"tensor {real!r} is not quantized"
    if node.op in INTEGER_OPS:
        return None
    return f"onnx's ReferenceEvaluator computes {node.op} in float32"
