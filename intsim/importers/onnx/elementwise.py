"""Add, Sub, Mul, Div, Min and Max."""

from __future__ import annotations

from collections.abc import Mapping

from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.folding import fold_arithmetic
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer, translate

NAMES = ("Add", "Sub", "Mul", "Div", "Min", "Max")


def binary(builder: GraphBuilder, node: OnnxNode) -> None:
    """An elementwise op of two inputs; constants (and lengths) are computed at once."""
    operands = [builder.operand(node, i, "ab"[i] if i < 2 else f"input {i}") for i in range(len(node.inputs))]
    if all(o.constant is not None for o in operands):
        fold_arithmetic(builder, node, operands)
        return
    if len(operands) != 2:
        raise node.unsupported(f"{len(operands)} inputs; supported: two")
    translate(builder, node, node.op, [builder.reals(node, 0, "a"), builder.reals(node, 1, "b")])


OPS: Mapping[tuple[str, str], Importer] = {("", name): binary for name in NAMES}
