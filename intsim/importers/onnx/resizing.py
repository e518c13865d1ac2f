"""Resize, by the nearest element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from intsim.importers.onnx.axes import normal_axes
from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.movement import moved_format
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer, translate
from intsim.ops import Shape, output_shapes

RESIZE_MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resize(builder: GraphBuilder, node: OnnxNode) -> None:
    """Resize by the nearest element. sizes: 0 keeps an axis, so that the batch can be unknown."""
    x = builder.data(node, 0, "x")
    rank = len(x.shape)
    if node.text("mode", "nearest") != "nearest":
        raise node.unsupported(f"mode {node.text('mode', 'nearest')!r}; supported: nearest")
    coordinate = node.text("coordinate_transformation_mode", "asymmetric" if builder.opset < 11 else "half_pixel")
    nearest = node.text("nearest_mode", "floor" if builder.opset < 11 else "round_prefer_floor")
    if coordinate not in RESIZE_MODES:
        raise node.unsupported(f"coordinate mode {coordinate!r}; supported: {', '.join(RESIZE_MODES)}")
    if nearest not in NEAREST_MODES:
        raise node.unsupported(f"nearest mode {nearest!r}; supported: {', '.join(NEAREST_MODES)}")
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.unsupported("keep_aspect_ratio_policy; supported: stretch")
    axes = normal_axes(node, node.integers("axes") or tuple(range(rank)), rank)
    scales, sizes = _resize_scales(builder, node, axes, rank), _resize_sizes(builder, node, axes, x.shape)
    if (scales is None) == (sizes is None):
        raise node.malformed("exactly one of scales and sizes must be given")
    attributes = {
        "mode": "nearest",
        "coordinate_mode": coordinate,
        "nearest_mode": nearest,
        "scales": scales,
        "sizes": sizes,
    }
    if x.format is not None and x.format.axis is not None:
        (shape,) = output_shapes("Resize", attributes, [x.shape], node.name)
        moved_format(node, "Resize", attributes, x, shape)
    translate(builder, node, "Resize", [x], attributes, **({"codes": x.format} if x.integer else {"keep": x.format}))


def _resize_scales(builder: GraphBuilder, node: OnnxNode, axes: Sequence[int], rank: int) -> tuple[float, ...] | None:
    values = builder.known(node, 1 if builder.opset < 11 else 2, "scales")
    if values is None or values.size == 0:
        return None
    if values.shape != (len(axes),) or values.dtype.kind != "f":
        raise node.malformed(f"scales must be {len(axes)} floats")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise node.malformed("a scale is not positive and finite")
    full = [1.0] * rank
    for axis, value in zip(axes, values, strict=True):
        full[axis] = float(value)
    return tuple(full)


def _resize_sizes(builder: GraphBuilder, node: OnnxNode, axes: Sequence[int], shape: Shape) -> tuple[int, ...] | None:
    operand = builder.optional(node, 3)
    values = operand.reals if operand is not None else None
    if operand is None or (values is not None and values.size == 0):
        return None
    if values is None or values.shape != (len(axes),) or values.dtype.kind not in "iO":
        raise node.unsupported(f"sizes must be a constant list of {len(axes)} integers, or computed from a Shape")
    full = [0] * len(shape)
    for axis, value in zip(axes, values, strict=True):
        if isinstance(value, str):
            if value != shape[axis]:
                raise node.unsupported(f"size of axis {axis} is unknown; supported: a number, or that of x")
        elif value < 1:
            raise node.malformed(f"size {value} of axis {axis} is not positive")
        else:
            full[axis] = int(value)
    return tuple(full)


OPS: Mapping[tuple[str, str], Importer] = {("", "Resize"): resize}
