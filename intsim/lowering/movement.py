"""Data movement and MaxPool: codes move, nothing is computed; a change of format follows as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering.activation import emit_requantize_codes
from intsim.lowering.builder import LayerBuilder
from intsim.lowering.clamps import Clamp

OPS = (
    "MaxPool",
    "Flatten",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Split",
    "Pad",
    "Resize",
)


def lower_movement(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """The codes of x, moved; where the output's format differs, each code is then requantized by a table.

    MaxPool before the table equals MaxPool after it: scales are positive, so the table never decreases.
    """
    name = builder.operand(node.inputs[0], node)
    x = builder.coded(name, node)
    for index, output in enumerate(node.outputs):
        y = builder.coded(output, node)
        moved = output if x == y else f"{output}#moved"
        emit_movement(builder, node, name, moved, x, index)
        if x != y:
            emit_requantize_codes(builder, node, moved, output, x, y)


def emit_movement(
    builder: LayerBuilder, node: Node, name: str, output: str, format: Format | None, index: int = 0, **kwargs: Any
) -> str:
    """Add the layer that moves `name` (codes or reals) to the index-th output of a movement node."""
    op, parameters = arguments(node, format, index)
    return builder.emit(op, (name,), output, format, node, **kwargs, **parameters)


def arguments(node: Node, format: Format | None, index: int = 0) -> tuple[str, Mapping[str, Any]]:
    """The spec function and the parameters of a movement node's index-th output."""
    attributes = node.attributes
    if node.op == "MaxPool":
        return "max_pool", {k: attributes[k] for k in ("kernel", "strides", "pads", "dilations", "ceil_mode")}
    if node.op == "Flatten":
        return "flatten", {"axis": attributes["axis"]}
    if node.op == "Split":
        start = sum(attributes["sizes"][:index])
        stop = start + attributes["sizes"][index]
        return "slice", {"starts": (start,), "ends": (stop,), "axes": (attributes["axis"],), "steps": (1,)}
    if node.op == "Pad":
        value = float(attributes.get("value", 0.0))
        fill: float = value if format is None else code_of(value, format)
        return "pad", {"pads": attributes["pads"], "mode": attributes["mode"], "value": fill}
    if node.op == "Resize":
        keys = ("scales", "sizes", "coordinate_mode", "nearest_mode")
        return "resize_nearest", {k: attributes.get(k) for k in keys}
    keys_by_op = {
        "Reshape": ("shape",),
        "Transpose": ("perm",),
        "Squeeze": ("axes",),
        "Unsqueeze": ("axes",),
        "Slice": ("starts", "ends", "axes", "steps"),
    }
    return node.op.lower(), {k: attributes[k] for k in keys_by_op[node.op]}


def code_of(value: float, format: Format) -> int:
    """The code of a constant fill value: half_up of the exact quotient, clipped."""
    if math.isinf(value):
        return format.low if value < 0 else format.high
    code = math.floor(Fraction(value) / Fraction(format.scale[0]) + Fraction(1, 2)) + format.zero_point[0]
    return min(max(code, format.low), format.high)
