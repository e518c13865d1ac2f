"""Data movement and maxima: codes move, nothing is computed; a change of format follows as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from intsim.errors import UnsupportedOp
from intsim.formats import Format, round_quotient
from intsim.graph import Node
from intsim.lowering.activation import emit_requantize_codes
from intsim.lowering.builder import LayerBuilder
from intsim.lowering.clamps import Clamp
from intsim.ops import SELECTS


def lower_movement(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """The codes of x, moved; where the output's format differs, each code is then requantized by a table.

    A maximum before the table equals a maximum after it: scales are positive, so the table never decreases.
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


Arguments = Callable[[Node, Format | None, int], Mapping[str, Any]]
"""The parameters of the spec function, from the node, the format of what moves, and which output it is."""


def arguments(node: Node, format: Format | None, index: int = 0) -> tuple[str, Mapping[str, Any]]:
    """The spec function and the parameters of a movement node's index-th output. Errors: UnsupportedOp."""
    if node.op not in LAYERS:
        raise UnsupportedOp(f"node {node.name!r} ({node.op}): no layer moves codes like that")
    op, parameters = LAYERS[node.op]
    return op, parameters(node, format, index)


def _attributes(*keys: str) -> Arguments:
    return lambda node, format, index: {key: node.attributes.get(key) for key in keys}


def _split(node: Node, format: Format | None, index: int) -> Mapping[str, Any]:
    start = sum(node.attributes["sizes"][:index])
    stop = start + node.attributes["sizes"][index]
    return {"starts": (start,), "ends": (stop,), "axes": (node.attributes["axis"],), "steps": (1,)}


def _pad(node: Node, format: Format | None, index: int) -> Mapping[str, Any]:
    value = float(node.attributes.get("value", 0.0))
    fill: float = value if format is None else code_of(value, format)
    return {"pads": node.attributes["pads"], "mode": node.attributes["mode"], "value": fill}


LAYERS: Mapping[str, tuple[str, Arguments]] = {
    "MaxPool": ("max_pool", _attributes("kernel", "strides", "pads", "dilations", "ceil_mode")),
    "ReduceMax": ("reduce_max", _attributes("axes", "keepdims")),
    "Flatten": ("flatten", _attributes("axis")),
    "Reshape": ("reshape", _attributes("shape")),
    "Transpose": ("transpose", _attributes("perm")),
    "Squeeze": ("squeeze", _attributes("axes")),
    "Unsqueeze": ("unsqueeze", _attributes("axes")),
    "Slice": ("slice", _attributes("starts", "ends", "axes", "steps")),
    "Split": ("slice", _split),
    "DepthToSpace": ("depth_to_space", _attributes("blocksize", "mode")),
    "Pad": ("pad", _pad),
    "Resize": ("resize_nearest", _attributes("scales", "sizes", "coordinate_mode", "nearest_mode")),
}
"""Op -> the spec function that moves its codes, and that function's parameters."""

MOVEMENT_LAYERS = frozenset(layer for op, (layer, _) in LAYERS.items() if op not in SELECTS)
"""The spec functions that move codes by their places alone."""


def code_of(value: float, format: Format) -> int:
    """The code of a constant fill value: half_up of the exact quotient, clipped."""
    if math.isinf(value):
        return format.low if value < 0 else format.high
    quotient = Fraction(value) / Fraction(format.scale[0])
    code = round_quotient(*quotient.as_integer_ratio(), "half_up") + format.zero_point[0]
    return min(max(code, format.low), format.high)
