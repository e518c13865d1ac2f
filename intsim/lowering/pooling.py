"""Means: AveragePool, GlobalAveragePool and ReduceMean, by division, by a multiplier, or by a shift."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from intsim.errors import UnsupportedOp
from intsim.formats import Format, round_quotient
from intsim.graph import Node
from intsim.lowering import exact, onnxruntime, shift, tflite, tosa, xnnpack
from intsim.lowering.activation import emit_requantize_codes
from intsim.lowering.builder import LayerBuilder, output_parameters, plain_output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.lowering.families import FAMILIES

EMIT_MEAN = {
    "tflite": tflite.emit_mean,
    "tosa": tosa.emit_mean,
    "xnnpack": xnnpack.emit_mean,
    "quotient": exact.emit_mean,
}
"""Family -> the function that lowers means of whole axes."""

POOLS = {"tflite": tflite.pool_parameters, "tosa": tosa.pool_parameters, "xnnpack": tflite.pool_parameters}
"""Families whose pools keep the input's format; a change of format follows."""

POOLS_ELSE = (
    "AveragePool: then a change of format; where padding counts, one exact quotient instead (project's choice)."
)
"""What else there is to say of POOLS."""

RECIPROCALS = {
    (3, 3): (7, 6),
    (5, 5): (10, 8),
    (6, 6): (7, 8),
    (3, 6): (7, 8),
    (6, 3): (7, 8),
    (7, 7): (21, 10),
    (14, 14): (21, 12),
}
"""The Vitis DPU's multiplier and shift for some windows."""


def lower_mean(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """y = round(sum(x - x_zero) * x_scale / (n * scale)) + zero_point, as the target's family divides and rounds it."""
    name = builder.operand(node.inputs[0], node)
    x, y = builder.coded(name, node), builder.coded(clamp.output, node)
    target = builder.target.at(node.name)
    family = FAMILIES[target.requantizer]
    if family in EMIT:
        EMIT[family](builder, node, clamp, name, x, y)
    elif node.op != "AveragePool":
        axes, lengths = _reduced(builder, node)
        EMIT_MEAN[family](builder, node, clamp, name, x, axes, math.prod(lengths))
    elif family in POOLS and not _counts_padding(node):
        _emit_pool(builder, node, clamp, name, x, y)
    else:
        ratio = Fraction(x.scale[0]) / Fraction(y.scale[0])
        exact.emit_pool(builder, node, clamp, name, x, ratio, exact.choice(target))


def _emit_float32(builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, y: Format) -> None:
    """half_even(float32(sum) * (x_scale / (scale * n))) + zero_point of whole images, each step rounded to float32.

    Of windows: half_even(float32(the sum of x_scale * (x - x_zero), one after the other) / n / scale + zero_point).
    """
    whole = node.op != "AveragePool" or onnxruntime.pools_whole_image(builder.graph, node)
    parameters: dict[str, Any] = {
        "x_zero": x.zero_point[0],
        "x_scale": np.float32(x.scale[0]),
        "scale": np.float32(y.scale[0]),
        **plain_output_parameters(y),
    }
    if whole:
        parameters.update(axes=_axes(builder, node), keepdims=node.attributes.get("keepdims", True))
        emit_clamped(builder, node, clamp, y, "reduce_mean_float32", (name,), **parameters)
    else:
        emit_clamped(builder, node, clamp, y, "average_pool_float32", (name,), **exact.window(node), **parameters)


def _emit_shifted(builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, y: Format) -> None:
    """round(sum(x - x_zero) / (n * 2**(e_y - e_x))) + zero_point: one exact quotient, rounded once.

    With mean `multiplier` 1 / n is m / 2**k, next to it (the Vitis DPU's); with mean `shift` m is 1, and n must be a
    power of two.
    """
    if builder.target.at(node.name).mean != "division":
        _emit_multiplied(builder, node, clamp, name, x, y)
        return
    parameters: dict[str, Any] = {
        "x_zero": x.zero_point[0],
        "shift": shift.exponent(y, clamp.output, node) - shift.exponent(x, name, node),
        "rounding": builder.target.at(node.name).rounding,
        **output_parameters(y),
    }
    if node.op == "AveragePool":
        emit_clamped(builder, node, clamp, y, "average_pool", (name,), **exact.window(node), **parameters)
    else:
        parameters.update(axes=_axes(builder, node), keepdims=node.attributes.get("keepdims", True))
        emit_clamped(builder, node, clamp, y, "reduce_mean", (name,), **parameters)


EMIT = {"onnxruntime": _emit_float32, "shift": _emit_shifted}
"""Family -> the function that lowers every mean, where pools and means of whole axes are alike."""


def _emit_multiplied(builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, y: Format) -> None:
    """The mean as sum * m / 2**k: m = 1 where the target only shifts, so that the count must be a power of two."""
    if node.op == "AveragePool":
        axes: tuple[int, ...] = ()
        lengths: tuple[int, ...] = tuple(node.attributes["kernel"])
    else:
        axes, lengths = _reduced(builder, node)
    area = math.prod(lengths)
    target = builder.target.at(node.name)
    if target.mean == "shift":
        if area & (area - 1):
            raise UnsupportedOp(
                f"node {node.name!r} ({node.op}): a mean over {area} elements is no shift, and target {target.name!r} "
                f'only shifts; pool over a power of two, or set mean to "division" or "multiplier"'
            )
        m, k = 1, area.bit_length() - 1
    else:
        m, k = reciprocal(lengths)
    approximated = Fraction(x.scale[0]) / Fraction(y.scale[0]) * Fraction(m, 2**k)
    remark = f"the mean over {area} elements is the sum * {m} / 2**{k}"
    if node.op == "AveragePool":
        exact.emit_pool(builder, node, clamp, name, x, approximated * area, remark)
    else:
        total = exact.emit_total(builder, node, clamp.output, name, x, axes)
        exact.emit_quotient(builder, node, clamp, y, total, approximated, remark)


def reciprocal(lengths: tuple[int, ...]) -> tuple[int, int]:
    """(m, k) with m / 2**k next to 1 / area: the Vitis DPU's.

    For windows that are not in RECIPROCALS, the k below ceil(log2(128 * area)) that comes nearest with m =
    half_even(2**k / area), the smallest such k. Source: Xilinx/Vitis-AI,
    src/vai_quantizer/vai_q_pytorch/pytorch_binding/pytorch_nndct/nn/modules/avgpool.py.
    """
    if lengths in RECIPROCALS:
        return RECIPROCALS[lengths]
    area = math.prod(lengths)
    best = (0, 0)
    error = Fraction(1)
    for k in range((128 * area - 1).bit_length()):
        m = round_quotient(2**k, area, "half_even")
        off = abs(Fraction(m, 2**k) - Fraction(1, area))
        if off < error:
            best, error = (m, k), off
    return best


def _emit_pool(builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, y: Format) -> None:
    """The pool in the input's format, then the target's change of format, where there is one."""
    parameters = POOLS[FAMILIES[builder.target.at(node.name).requantizer]](node, x)
    if x == y:
        emit_clamped(builder, node, clamp, y, "average_pool", (name,), **parameters)
        return
    pooled = builder.emit("average_pool", (name,), f"{clamp.output}#pooled", x, node, **parameters)
    bounded = clamp.codes(y)
    moved = clamp.output if bounded is None else f"{clamp.output}#unclamped"
    emit_requantize_codes(builder, node, pooled, moved, x, y)
    if bounded is not None:
        builder.emit("clip", (moved,), clamp.output, y, node, low=bounded[0], high=bounded[1])


def _counts_padding(node: Node) -> bool:
    return bool(node.attributes["count_include_pad"]) and any(node.attributes["pads"])


def _axes(builder: LayerBuilder, node: Node) -> tuple[int, ...]:
    if node.op == "ReduceMean":
        return tuple(node.attributes["axes"])
    return tuple(range(2, len(builder.graph.values[node.inputs[0]].shape)))


def _reduced(builder: LayerBuilder, node: Node) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a mean and their lengths, which must be known."""
    shape, axes = builder.graph.values[node.inputs[0]].shape, _axes(builder, node)
    lengths = [shape[axis] for axis in axes]
    known = tuple(length for length in lengths if length is not None)
    if len(known) != len(lengths):
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): the lengths of its axes {axes} must be known, for target "
            f"{builder.target.name!r} turns the count into a multiplier; fix the input's shape {shape}"
        )
    return axes, known
