"""Concat."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from intsim.importers.onnx.axes import normal_axis
from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.folding import tidy
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer, translate, view_as
from intsim.ops import output_shapes


def concat(builder: GraphBuilder, node: OnnxNode) -> None:
    """Concat: of constants at once; codes of one format stay codes of it."""
    operands = [builder.operand(node, i, f"input {i}") for i in range(len(node.inputs)) if node.inputs[i]]
    if not operands:
        raise node.malformed("has no input")
    rank = len(operands[0].shape)
    axis = normal_axis(node, node.integer("axis", 1), rank)
    if all(o.constant is not None for o in operands):
        (shape,) = output_shapes("Concat", {"axis": axis}, [o.shape for o in operands], node.name)
        builder.spend(node, math.prod(n for n in shape if isinstance(n, int)))
        arrays = [a for o in operands if (a := o.reals) is not None]
        values = np.concatenate(arrays, axis=axis)
        first = operands[0]
        builder.set_constant(node.outputs[0], tidy(values), first.format if first.integer else None, first.integer)
        return
    operands = [builder.data(node, i, f"input {i}") for i in range(len(node.inputs))]
    if any(o.format is not None and o.format.axis == axis for o in operands):
        raise node.unsupported(f"along axis {axis}, which is quantized per channel; supported: per tensor")
    first = operands[0]
    if any(o.integer != first.integer for o in operands):
        raise node.malformed("its inputs are integers and reals")
    if first.integer:
        assert first.format is not None
        # Integers of one tensor have one meaning: that of the first, whatever the others were.
        operands = [first] + [
            view_as(builder, node, o, first.format, f"{node.outputs[0]}#{i}") for i, o in enumerate(operands[1:], 1)
        ]
        translate(builder, node, "Concat", operands, {"axis": axis}, codes=first.format)
        return
    same = all(o.format == first.format for o in operands)
    translate(builder, node, "Concat", operands, {"axis": axis}, keep=first.format if same else None)


OPS: Mapping[tuple[str, str], Importer] = {("", "Concat"): concat}
