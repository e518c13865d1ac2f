"""TFLite's, LiteRT's and CMSIS-NN's arithmetic of all that is no MAC layer, in fixed point.

Source: tflite-micro, tensorflow/lite/kernels/internal/reference/ (add.h, integer_ops/mul.h, reduce.h,
integer_ops/pooling.h, leaky_relu.h, requantize.h), whose parameters CMSIS-NN takes; LiteRT 2.3 by experiment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import exact, requantizers
from intsim.lowering.builder import LayerBuilder, output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.lowering.fixed_point import scaled
from intsim.lowering.multipliers.tflite import quantize_multiplier
from intsim.target import Target

Array = np.ndarray[Any, Any]

HEADROOM = {8: 20, 16: 15}
"""Bits by which Add shifts its operands to the left, by their width."""

SINGLE = frozenset({"tflite_single", "cmsis_nn_single"})
MICRO = frozenset({"tflite_single", "cmsis_nn", "cmsis_nn_single"})
"""Requantizers of tflite-micro, which multiplies the scales of Mul in float64; LiteRT does it in float32."""


def fixed_point(real: float, y: Format, target: Target) -> tuple[str, dict[str, Any]]:
    """The layer that multiplies an int32 by a real: its spec function and parameters."""
    op = {"tflite_float64": "requantize_tflite"}.get(target.requantizer, f"requantize_{target.requantizer}")
    multiplier, shift = quantize_multiplier(real, single_rounding=target.requantizer in SINGLE)
    return op, {"multiplier": multiplier, "shift": shift, **output_parameters(y)}


def emit_sum(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Add or Sub: t = 2 * max(scales); a1 = ((a - a_zero) << 20) * a_scale / t; y = (a1 ± b1) * t / (2**20 * scale).

    Each product is rounded in fixed point. Errors: OutOfDomain where t / (2**20 * scale) is not below 1, where the
    source's definition ends.
    """
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    left = HEADROOM[8 if max(a.bits, b.bits) <= 8 else 16]
    twice = 2 * max(a.scale[0], b.scale[0])
    real = twice / (2.0**left * y.scale[0])
    if real >= 1:
        raise OutOfDomain(
            f"node {node.name!r} ({node.op}): target {target.name!r} adds only where 2 * max(a_scale, b_scale) is "
            f"below 2**{left} * scale, not {real!r} times it; give tensor {clamp.output!r} a larger scale"
        )
    unit = Format(32, True, False, (float(np.float32(twice / 2.0**left)),))
    parts = []
    for key, name, format in zip("ab", names, (a, b), strict=True):
        shifted = Format(32, True, False, (float(np.float32(format.scale[0] / 2.0**left)),))
        zero = -(format.zero_point[0] << left)
        parameters = {**output_parameters(shifted), "shift": -left, "rounding": "half_up", "zero_point": zero}
        moved = builder.emit("requantize", (name,), f"{clamp.output}#{key}.shifted", shifted, node, **parameters)
        op, scaling = fixed_point(format.scale[0] / twice, unit, target)
        parts.append(builder.emit(op, (moved,), f"{clamp.output}#{key}", unit, node, **scaling))
    total = exact.emit_int32_sum(builder, node, clamp.output, tuple(parts), unit)
    op, scaling = fixed_point(real, y, target)
    emit_clamped(builder, node, clamp, y, op, (total,), **scaling)


def emit_product(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Mul: the product of the centred codes, times a_scale * b_scale / scale in fixed point."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    scaling = requantizers.Scaling(a.scales, b.scales, y.scales)
    real = float((scaling.real() if target.requantizer in MICRO else scaling.single())[0])
    op, parameters = fixed_point(real, y, target)
    exact.emit_product(builder, node, clamp, names, a, b, op=op, **parameters)


def emit_mean(
    builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, axes: tuple[int, ...], count: int
) -> None:
    """MEAN: sum * ((q << k) // count) * 2**(e - k - 31); (q, e) of x_scale / scale, k = min(log2(count), 32, 31 + e).

    GlobalAveragePool is MEAN here, as converters write it.
    """
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    op, parameters = fixed_point(x.scale[0] / y.scale[0], y, target)
    more = min(count.bit_length() - 1, 32, 31 + parameters["shift"])
    parameters["multiplier"] = (parameters["multiplier"] << more) // count
    parameters["shift"] -= more
    total = exact.emit_total(builder, node, clamp.output, name, x, axes)
    emit_clamped(builder, node, clamp, y, op, (total,), **parameters)


def pool_parameters(node: Node, x: Format) -> dict[str, Any]:
    """AVERAGE_POOL_2D: half_away(sum of the raw codes / count), the zero point left in; format of x."""
    plain = {**output_parameters(x), "zero_point": 0}
    return {**exact.window(node), "x_zero": 0, "shift": 0, "rounding": "half_away", **plain}


def requantize_table(x: Format, y: Format, target: Target) -> Array:
    """QUANTIZE of codes: (x - x_zero) * (x_scale / scale in float64) in fixed point, + zero_point."""
    pair = quantize_multiplier(x.scale[0] / y.scale[0], single_rounding=target.requantizer in SINGLE)
    return _table(x, y, pair, pair, target)


def leaky_relu_table(alpha: float, x: Format, y: Format, target: Target) -> Array:
    """LEAKY_RELU: (x - x_zero) times x_scale / scale, below zero times x_scale * alpha / scale, in fixed point."""
    single = target.requantizer in SINGLE
    positive = float(x.scales[0] / y.scales[0])
    negative = float((x.scales[0] * np.float32(alpha)) / y.scales[0])
    pairs = [quantize_multiplier(real, single_rounding=single) for real in (positive, abs(negative))]
    if negative < 0:
        pairs[1] = (-pairs[1][0], pairs[1][1])
    return _table(x, y, pairs[0], pairs[1], target)


def _table(x: Format, y: Format, positive: tuple[int, int], negative: tuple[int, int], target: Target) -> Array:
    single = target.requantizer in SINGLE
    codes = []
    for code in range(x.low, x.high + 1):
        centred = code - x.zero_point[0]
        value = scaled(centred, *(positive if centred >= 0 else negative), single=single)
        codes.append(min(max(value + y.zero_point[0], y.low), y.high))
    return np.array(codes, np.int64)
