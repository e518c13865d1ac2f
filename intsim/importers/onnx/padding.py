"""Pad."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.axes import normal_axes
from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.movement import moved_format
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer, translate
from intsim.ops import output_shapes

PAD_MODES = ("constant", "reflect", "edge")


def pad(builder: GraphBuilder, node: OnnxNode) -> None:
    """Pad; on an integer tensor the value is a code."""
    x = builder.data(node, 0, "data")
    rank = len(x.shape)
    mode = node.text("mode", "constant")
    if mode not in PAD_MODES:
        raise node.unsupported(f"mode {mode!r}; supported: {', '.join(PAD_MODES)}")
    pads = builder.integers(node, 1, "pads")
    if pads is None:
        raise node.malformed("pads are missing")
    axes = builder.integers(node, 3, "axes")
    if axes is not None:
        pads = _spread(node, pads, normal_axes(node, axes, rank), rank)
    if any(p < 0 for p in pads):
        raise node.unsupported(f"negative pads {pads}; supported: 0 or more (use Slice)")
    infinite = not x.integer  # a real -inf is what a MaxPool after it leaves out
    if "value" in node.attributes:
        value = node.real("value", 0.0, infinite=infinite)
    else:
        value = builder.real(node, 2, "value", infinite=infinite) or 0.0
    attributes: dict[str, Any] = {"mode": mode, "pads": pads, "value": value}
    format = x.format
    if x.constant is not None:
        raise node.unsupported("of a constant: fold the model's constants before (onnxsim, ORT)")
    (shape,) = output_shapes("Pad", attributes, [x.shape], node.name)
    moved_format(node, "Pad", attributes, x, shape)
    if mode == "constant" and format is not None:
        if format.per_channel:
            raise node.unsupported("mode 'constant' on a tensor that is quantized per channel; supported: per tensor")
        if x.integer:
            attributes["value"] = float(format.scale[0]) * (int(value) - format.zero_point[0])
        elif not _is_code(value, format):
            format = None
    translate(builder, node, "Pad", [x], attributes, **({"codes": format} if x.integer else {"keep": format}))


def _spread(node: OnnxNode, pads: Sequence[int], axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Pads of some axes as pads of all axes."""
    if len(pads) != 2 * len(axes):
        raise node.malformed(f"{len(pads)} pads for {len(axes)} axes")
    full = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        full[axis], full[rank + axis] = pads[i], pads[len(axes) + i]
    return tuple(full)


def _is_code(value: float, format: Format) -> bool:
    """Whether a real is exactly one of the format's."""
    quotient = value / format.scale[0]
    if not math.isfinite(quotient):
        return False
    code = round(quotient) + format.zero_point[0]
    return format.low <= code <= format.high and bool(format.real(np.array([code]))[0] == np.float32(value))


OPS: Mapping[tuple[str, str], Importer] = {("", "Pad"): pad}
