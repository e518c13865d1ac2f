"""Graphs of TOSA ops for what TOSA computes at one scale only: RESCALE to int32, the op, RESCALE to codes.

Source: arm/tosa-specification for RESCALE, ADD, SUB, MUL, REDUCE_SUM, AVG_POOL2D; how a converter builds a quantized
addition from them: tensorflow, tensorflow/compiler/mlir/tosa/transforms/legalize_common.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import exact, requantizers
from intsim.lowering.builder import LayerBuilder, output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.lowering.multipliers.tosa import multiplier_and_shift
from intsim.lowering.tflite import HEADROOM
from intsim.target import Target


def rescale(real: float, y: Format, target: Target, input_zero_point: int = 0) -> dict[str, Any]:
    """The parameters of a RESCALE by a real."""
    multiplier, shift = multiplier_and_shift(real, target.multiplier_bits)
    double = target.requantizer == "tosa" and target.multiplier_bits == 32
    return {
        "multiplier": multiplier,
        "shift": shift,
        "double_rounding": double,
        "multiplier_bits": target.multiplier_bits,
        "input_zero_point": input_zero_point,
        **output_parameters(y),
    }


def emit_sum(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Add or Sub: the operands RESCALEd by 2**20 * scales / t, t = 2 * max(scales); the sum by t / 2**20 / scale."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    left = HEADROOM[8 if max(a.bits, b.bits) <= 8 else 16]
    twice = 2 * max(a.scale[0], b.scale[0])
    unit = Format(32, True, False, (float(np.float32(twice / 2.0**left)),))
    parts = []
    for key, name, format in zip("ab", names, (a, b), strict=True):
        parameters = rescale(format.scale[0] / twice * 2.0**left, unit, target, format.zero_point[0])
        parts.append(builder.emit("requantize_tosa", (name,), f"{clamp.output}#{key}", unit, node, **parameters))
    total = exact.emit_int32_sum(builder, node, clamp.output, tuple(parts), unit)
    last = rescale(twice / (2.0**left * y.scale[0]), y, target)
    emit_clamped(builder, node, clamp, y, "requantize_tosa", (total,), **last)


def emit_product(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Mul: the int32 product of the centred codes, RESCALEd by a_scale * b_scale / scale."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    op, parameters = requantizers.multiplied(requantizers.Scaling(a.scales, b.scales, y.scales), y, target)
    exact.emit_product(builder, node, clamp, names, a, b, op=op, **parameters)


def emit_mean(
    builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, axes: tuple[int, ...], count: int
) -> None:
    """Mean: REDUCE_SUM of the centred codes, RESCALEd by x_scale / scale / count."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    total = exact.emit_total(builder, node, clamp.output, name, x, axes)
    parameters = rescale(x.scale[0] / y.scale[0] / count, y, target)
    emit_clamped(builder, node, clamp, y, "requantize_tosa", (total,), **parameters)


def pool_parameters(node: Node, x: Format) -> dict[str, Any]:
    """AVG_POOL2D: half_away(sum of the centred codes / count) + zero_point, in the format of x.

    The standard multiplies by reciprocal_scale(count) = ((2**30 + 1) << k) // count over 2**(30 + k), which exceeds
    1 / count by less than 2**-29 / count: for sums below 2**28 a result differs from the exact quotient's at ties
    alone, and there the excess rounds away from zero.
    """
    return {
        **exact.window(node),
        "x_zero": x.zero_point[0],
        "shift": 0,
        "rounding": "half_away",
        **output_parameters(x),
    }
