"""Flatten, Reshape, Transpose, Squeeze, Unsqueeze, Slice, Split and DepthToSpace: values move, none changes.

On views of codes and on integer tensors the codes move and keep their format; constants move at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.axes import normal_axes, normal_axis
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.folding import tidy
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.quantizers import sole_quantizer
from intsim.importers.onnx.tensors import Array
from intsim.importers.onnx.translate import Importer, requantize, translate
from intsim.ops import Length, Shape, output_shapes, slice_bounds


def move(builder: GraphBuilder, node: OnnxNode, op: str, attributes: Mapping[str, Any]) -> None:
    """Add the node that moves the values of the first input; a constant is moved at once."""
    x = builder.operand(node, 0, "data")
    shapes = output_shapes(op, attributes, [x.shape], node.name)
    format = moved_format(node, op, attributes, x, shapes[0])
    if x.constant is not None:
        for tensor, values in zip(node.outputs, moved(op, attributes, x.constant, shapes), strict=False):
            if not np.may_share_memory(values, x.constant):
                builder.spend(node, values.size)
            operand = Operand(tensor, values.shape, format, x.integer, tidy(values), x.sources)
            builder.operands[tensor] = operand
        return
    x = quantized_input(builder, node, builder.data(node, 0, "data"), shapes[0])
    format = moved_format(node, op, attributes, x, shapes[0])
    translate(builder, node, op, [x], attributes, **({"codes": format} if x.integer else {"keep": format}))


def quantized_input(builder: GraphBuilder, node: OnnxNode, x: Operand, shape: Shape) -> Operand:
    """Codes for a real input of the graph that is moved before it is quantized: the order makes no difference.

    So that a graph's input is quantized at once (a model that was NHWC starts with a Transpose). shape: after the move.
    """
    if x.format is not None or x.name not in builder.model.inputs or len(node.outputs) != 1:
        return x
    quantizer = sole_quantizer(builder, node.outputs[0], shape)
    if quantizer is None or quantizer.format.per_channel:
        return x
    codes = replace(quantizer, name=builder.free_name(f"{node.outputs[0]}#codes"), copies=())
    requantize(builder, node, x, codes)
    return replace(x, name=codes.name, format=codes.format)


def moved_format(node: OnnxNode, op: str, attributes: Mapping[str, Any], x: Operand, shape: Shape) -> Format | None:
    """The format of the codes of x after the move: its axis moves with them.

    Errors: UnsupportedOp where the channels of a per-channel format are cut, mixed or padded.
    """
    format = x.format
    if format is None or format.axis is None:
        return format
    axis = moved_axis(op, attributes, format.axis, x.shape, shape)
    if axis is None:
        raise node.unsupported(
            f"it breaks up axis {format.axis} of {x.name!r}, which is quantized per channel; supported: moves that "
            "keep that axis whole"
        )
    return replace(format, axis=axis)


def moved_axis(op: str, attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    """Where an axis is after the move; None where it does not survive whole."""
    return AXES[op](attributes, axis, before, after)


def _transposed_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    return list(attributes["perm"]).index(axis)


def _squeezed_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    gone = [a % len(before) for a in attributes["axes"]]
    return None if axis in gone else axis - sum(a < axis for a in gone)


def _unsqueezed_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    new = [a % len(after) for a in attributes["axes"]]
    return [i for i in range(len(after)) if i not in new][axis]


def _reshaped_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    """The axis of the same length with as many elements before it."""
    ahead = _elements(before[:axis])
    return next((i for i, n in enumerate(after) if n == before[axis] and _elements(after[:i]) == ahead), None)


def _sliced_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    """Even a slice that keeps the length may turn the order around."""
    return None if axis in attributes["axes"] else axis


def _axis_of_equal_length(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    """The axis itself, where nothing is added to it or copied on it."""
    return axis if before[axis] == after[axis] else None


def _block_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    """Channels, lines and columns are mixed; the batch stays."""
    return axis if axis == 0 or attributes["blocksize"] == 1 else None


def _reduced_axis(attributes: Mapping[str, Any], axis: int, before: Shape, after: Shape) -> int | None:
    """Along an axis that is reduced, codes of different scales are compared."""
    if axis in attributes["axes"]:
        return None
    return axis if attributes["keepdims"] else axis - sum(a < axis for a in attributes["axes"])


AXES: Mapping[str, Callable[[Mapping[str, Any], int, Shape, Shape], int | None]] = {
    "Transpose": _transposed_axis,
    "Squeeze": _squeezed_axis,
    "Unsqueeze": _unsqueezed_axis,
    "Flatten": _reshaped_axis,
    "Reshape": _reshaped_axis,
    "Slice": _sliced_axis,
    "Split": _axis_of_equal_length,
    "DepthToSpace": _block_axis,
    "ReduceMax": _reduced_axis,
    "Pad": _axis_of_equal_length,
    "Resize": _axis_of_equal_length,
}
"""Op -> where an axis of its input is in its output."""


def _elements(lengths: Sequence[Length]) -> tuple[int, list[str]]:
    """The product of the known lengths, and the names of the others."""
    return math.prod(n for n in lengths if isinstance(n, int)), sorted(n for n in lengths if isinstance(n, str))


def moved(op: str, attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    """The outputs of a move of a constant."""
    return CONSTANTS[op](attributes, x, shapes)


def _reshaped(attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    return [x.reshape([n for n in shapes[0] if isinstance(n, int)])]


def _transposed(attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    return [x.transpose(attributes["perm"])]


def _sliced(attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    index: list[Any] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(*(attributes[k] for k in ("starts", "ends", "axes", "steps")), strict=True):
        # NumPy spells "down to and with index 0" as None.
        below = step < 0 and end < -x.shape[axis]
        index[axis] = slice(start, None if below else end, step)
    return [x[tuple(index)]]


def _split(attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    return np.split(x, np.cumsum(attributes["sizes"])[:-1], axis=attributes["axis"])


def _depth_to_space(attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    n, channels, height, width = x.shape
    block = attributes["blocksize"]
    own = channels // (block * block)
    if attributes["mode"] == "DCR":
        blocks = x.reshape(n, block, block, own, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, own, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return [blocks.reshape(n, own, height * block, width * block)]


def _largest(attributes: Mapping[str, Any], x: Array, shapes: Sequence[Shape]) -> list[Array]:
    return [np.asarray(x.max(tuple(attributes["axes"]), keepdims=attributes["keepdims"]))]


CONSTANTS: Mapping[str, Callable[[Mapping[str, Any], Array, Sequence[Shape]], list[Array]]] = {
    "Flatten": _reshaped,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Transpose": _transposed,
    "Slice": _sliced,
    "Split": _split,
    "DepthToSpace": _depth_to_space,
    "ReduceMax": _largest,
}
"""Op -> what it makes of a constant. Pad and Resize of constants are not taken."""


def flatten(builder: GraphBuilder, node: OnnxNode) -> None:
    """Flatten to a matrix."""
    x = builder.operand(node, 0, "data")
    axis = node.integer("axis", 1)
    move(builder, node, "Flatten", {"axis": axis + len(x.shape) if axis < 0 else axis})


def reshape(builder: GraphBuilder, node: OnnxNode) -> None:
    """Reshape. A shape that is computed from unknown lengths becomes numbers, with -1 for the unknown one."""
    x, target = builder.operand(node, 0, "data"), builder.operand(node, 1, "shape")
    values = target.reals
    if values is None or values.dtype.kind not in "iO" or values.ndim != 1:
        raise node.unsupported(
            f"input 1 (shape, {node.inputs[1]!r}) must be a constant list of integers, or computed from a Shape"
        )
    lengths = tuple(v if isinstance(v, str) else int(v) for v in values)
    if node.integer("allowzero", 0) and 0 in lengths:
        raise node.unsupported("allowzero makes an empty tensor; supported: shapes without 0")
    if any(isinstance(n, str) for n in lengths):
        (result,) = output_shapes("Reshape", {"shape": lengths}, [x.shape], node.name)
        lengths = _numbers(node, result, x.shape)
    move(builder, node, "Reshape", {"shape": lengths})


def _numbers(node: OnnxNode, result: Shape, x: Shape) -> tuple[int, ...]:
    """The shape with -1 for the one unknown length; further ones must be copied (0) from the same place of x."""
    unknown = [i for i, n in enumerate(result) if not isinstance(n, int)]
    copied = [i for i in unknown if i < len(x) and result[i] is not None and result[i] == x[i]]
    free = [i for i in unknown if i not in copied] or copied[:1]
    if len(free) > 1:
        raise node.unsupported(f"axes {free} of its shape are unknown; supported: one (fix the model's input shape)")
    return tuple(n if isinstance(n, int) else -1 if i in free else 0 for i, n in enumerate(result))


def transpose(builder: GraphBuilder, node: OnnxNode) -> None:
    """Transpose; without perm the axes are reversed."""
    rank = len(builder.operand(node, 0, "data").shape)
    move(builder, node, "Transpose", {"perm": node.integers("perm") or tuple(reversed(range(rank)))})


def squeeze(builder: GraphBuilder, node: OnnxNode) -> None:
    """Squeeze; without axes all of length 1."""
    x = builder.operand(node, 0, "data")
    axes = builder.integers(node, 1, "axes")
    if axes is None:
        if not all(isinstance(n, int) for n in x.shape):
            raise node.unsupported("without axes, on unknown lengths; supported: a list of axes")
        axes = tuple(i for i, n in enumerate(x.shape) if n == 1)
    move(builder, node, "Squeeze", {"axes": normal_axes(node, axes, len(x.shape))})


def unsqueeze(builder: GraphBuilder, node: OnnxNode) -> None:
    """Unsqueeze."""
    x = builder.operand(node, 0, "data")
    axes = builder.integers(node, 1, "axes")
    if axes is None:
        raise node.malformed("axes are missing")
    move(builder, node, "Unsqueeze", {"axes": normal_axes(node, axes, len(x.shape) + len(axes))})


def slice_(builder: GraphBuilder, node: OnnxNode) -> None:
    """Slice."""
    x = builder.operand(node, 0, "data")
    starts, ends = builder.integers(node, 1, "starts"), builder.integers(node, 2, "ends")
    if starts is None or ends is None:
        raise node.malformed("starts or ends are missing")
    axes = builder.integers(node, 3, "axes") or tuple(range(len(starts)))
    steps = builder.integers(node, 4, "steps") or (1,) * len(starts)
    axes = normal_axes(node, axes, len(x.shape))
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise node.malformed("starts, ends, axes and steps must have the same length, and no step be 0")
    bounds = [_bounds(starts[i], ends[i], steps[i], x.shape[axis]) for i, axis in enumerate(axes)]
    attributes = {
        "starts": tuple(start for start, _ in bounds),
        "ends": tuple(end for _, end in bounds),
        "axes": axes,
        "steps": steps,
    }
    move(builder, node, "Slice", attributes)


def _bounds(start: int, end: int, step: int, length: Length) -> tuple[int, int]:
    """start and end of a slice within the axis, where its length is known: what clamps them is then no question."""
    if not isinstance(length, int):
        return start, end
    start, end, _ = slice_bounds(start, end, step, length)
    # Down to and with index 0 has no other spelling than an end before the axis.
    return start, end if end >= 0 else -length - 1


def split(builder: GraphBuilder, node: OnnxNode) -> None:
    """Split; without sizes into equal parts, the last one smaller where it does not divide (opset 18)."""
    x = builder.operand(node, 0, "data")
    axis = normal_axis(node, node.integer("axis", 0), len(x.shape))
    if not all(node.outputs):
        raise node.unsupported("one of its outputs has no name; supported: all outputs named")
    sizes = builder.integers(node, 1, "split")
    if sizes is None:
        length, parts = x.shape[axis], len(node.outputs)
        if not isinstance(length, int):
            raise node.unsupported(f"of axis {axis}, whose length is unknown; supported: a list of sizes")
        part = -(-length // parts)
        sizes = (*(part for _ in range(parts - 1)), length - part * (parts - 1))
    if len(sizes) != len(node.outputs):
        raise node.malformed(f"{len(sizes)} sizes for {len(node.outputs)} outputs")
    move(builder, node, "Split", {"axis": axis, "sizes": sizes})


def depth_to_space(builder: GraphBuilder, node: OnnxNode) -> None:
    """DepthToSpace, in both modes."""
    mode, block = node.text("mode", "DCR"), node.integer("blocksize", 0)
    if mode not in ("DCR", "CRD"):
        raise node.malformed(f"mode {mode!r} must be DCR or CRD")
    if block < 1:
        raise node.malformed(f"blocksize must be 1 or more, not {block}")
    move(builder, node, "DepthToSpace", {"blocksize": block, "mode": mode})


OPS: Mapping[tuple[str, str], Importer] = {
    ("", "Flatten"): flatten,
    ("", "Reshape"): reshape,
    ("", "Transpose"): transpose,
    ("", "Squeeze"): squeeze,
    ("", "Unsqueeze"): unsqueeze,
    ("", "Slice"): slice_,
    ("", "Split"): split,
    ("", "DepthToSpace"): depth_to_space,
}
