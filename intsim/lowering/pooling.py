"""Means: AveragePool, GlobalAveragePool and ReduceMean, one quotient and one rounding each."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.graph import Node
from intsim.lowering import onnxruntime, shift
from intsim.lowering.builder import Builder, codes_of, plain_codes_of
from intsim.lowering.clamps import Clamp
from intsim.lowering.elementwise import emit_clamped

OPS = ("AveragePool", "GlobalAveragePool", "ReduceMean")


def lower_mean(builder: Builder, node: Node, clamp: Clamp) -> None:
    """y = round(sum(x - x_zero) / (n * 2**shift)) + y_zero, or ONNX Runtime's float32 formula of it."""
    name = builder.operand(node.inputs[0], node)
    x, y = builder.coded(name, node), builder.coded(clamp.output, node)
    target = builder.target.at(node.name)
    whole = node.op != "AveragePool" or onnxruntime.pools_whole_image(builder.graph, node)
    parameters: dict[str, Any] = {"x_zero": x.zero_point[0]}
    if target.requantizer == "float32":
        parameters.update(x_scale=np.float32(x.scale[0]), scale=np.float32(y.scale[0]), **plain_codes_of(y))
    else:
        e_x, e_y = shift.exponent(x, name, node), shift.exponent(y, clamp.output, node)
        parameters.update(shift=e_y - e_x, rounding=target.rounding, **codes_of(y))
    if node.op == "ReduceMean":
        parameters.update({k: node.attributes[k] for k in ("axes", "keepdims")})
    elif node.op == "GlobalAveragePool" or (whole and target.requantizer == "float32"):
        rank = len(builder.graph.values[node.inputs[0]].shape)
        parameters.update(axes=tuple(range(2, rank)), keepdims=True)
    else:
        keys = ("kernel", "strides", "pads", "dilations", "ceil_mode", "count_include_pad")
        parameters.update({k: node.attributes[k] for k in keys})
    op = "reduce_mean" if "axes" in parameters else "average_pool"
    suffix = "_float32" if target.requantizer == "float32" else ""
    emit_clamped(builder, node, clamp, y, op + suffix, (name,), **parameters)
