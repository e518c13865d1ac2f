"""Where reals become codes and codes become reals."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering.builder import LayerBuilder, axis_of, output_parameters
from intsim.lowering.clamps import Clamp
from intsim.lowering.families import FAMILIES

OPS = ("QuantizeLinear", "DequantizeLinear", "Reinterpret")


def lower_boundary(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """QuantizeLinear by the target's rule, DequantizeLinear as ONNX defines it, Reinterpret as a copy."""
    name, output = builder.operand(node.inputs[0], node), node.outputs[0]
    if node.op == "DequantizeLinear":
        builder.dequantize(name, output, builder.coded(name, node), node)
        return
    y = builder.coded(output, node)
    if node.op == "Reinterpret":
        builder.emit("copy", (name,), output, y, node)
        return
    emit_quantize(builder, node, name, output, y)


def emit_quantize(builder: LayerBuilder, node: Node, name: str, output: str, format: Format) -> None:
    """Add the layer that turns reals into codes by the target's rule."""
    target = builder.target.at(node.name)
    parameters: dict[str, Any] = {
        "scale": format.scales if format.per_channel else np.float32(format.scale[0]),
        "axis": axis_of(format),
    }
    if FAMILIES[target.requantizer] == "onnxruntime":
        op = "quantize_float32"
    else:
        op, parameters["rounding"] = "quantize", target.rounding
    builder.emit(op, (name,), output, format, node, **parameters, **output_parameters(format))
