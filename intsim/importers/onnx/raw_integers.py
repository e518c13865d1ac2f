"""ConvInteger and MatMulInteger: integers in, the raw accumulator out; no scale is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.axes import normal_axis
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.quantizers import located
from intsim.importers.onnx.translate import view_as

RAW_ACCUMULATOR = Format(32)
"""int32 codes of scale 1: the accumulator as it is."""


def centred_operand(
    builder: GraphBuilder, node: OnnxNode, index: int, zero_index: int, what: str, axis: int | None
) -> Operand:
    """An input's codes as integers around their zero point. axis: that of a zero point per channel."""
    x = builder.operand(node, index, what)
    if not x.integer or x.format is None:
        raise node.malformed(f"{what} must be an integer tensor")
    zero = builder.known(node, zero_index, f"{what} zero point")
    zero = np.zeros((), np.int64) if zero is None else zero
    if zero.ndim and zero.size > 1 and axis is None:
        raise node.unsupported(f"a zero point of {what} per row is not supported; supported: one per tensor")
    at = None if zero.size == 1 else axis
    if at is not None:
        at = normal_axis(node, at, len(x.shape))
        if zero.ndim != 1 or x.shape[at] != zero.size:
            raise node.malformed(f"{zero.size} zero points for axis {at} of length {x.shape[at]}")
    bare = Format(x.format.bits, x.format.signed, x.format.narrow)
    format = located(bare, np.ones(zero.size, np.float32), zero, at, node)
    return replace(view_as(builder, node, x, format, f"{node.outputs[0]}#{what}"), integer=False)
