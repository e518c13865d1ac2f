"""XNNPACK's arithmetic of all that is no MAC layer.

Source: google/XNNPACK, src/operators/binary-elementwise-nd.c and src/microparams-init.c; LiteRT 2.3's XNNPACK kernels,
by experiment.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import exact, requantizers
from intsim.lowering.builder import LayerBuilder, output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.target import Target

Array = np.ndarray[Any, Any]

FACTOR_BITS = 20
"""The larger of the two factors of an addition has 21 bits."""


def emit_sum(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Add or Sub: half_up(((a - a_zero) * m_a ± (b - b_zero) * m_b) / 2**k) + zero_point, m = rint(ratio * 2**k).

    ratio = float32(operand's scale / scale), k = 20 - floor(log2(larger ratio)). Errors: OutOfDomain unless the larger
    ratio is at least 2**-10 and below 2**8, as the source asserts.
    """
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    ratios = [format.scales[0] / y.scales[0] for format in (a, b)]
    largest = max(ratios)
    if not 2.0**-10 <= largest < 2.0**8:
        raise OutOfDomain(
            f"node {node.name!r} ({node.op}): target {target.name!r} needs a larger operand scale of 2**-10 to 2**8 "
            f"times the scale of tensor {clamp.output!r}, not {float(largest)!r}; change that tensor's scale"
        )
    k = FACTOR_BITS - (math.frexp(largest)[1] - 1)
    factors = [int(np.rint(np.ldexp(ratio, k))) for ratio in ratios]
    parameters: dict[str, Any] = {
        "a_factor": factors[0],
        "b_factor": -factors[1] if node.op == "Sub" else factors[1],
        "a_zero": a.zero_point[0],
        "b_zero": b.zero_point[0],
        "divisor": 1 << k,
        "rounding": "half_up",
    }
    emit_clamped(builder, node, clamp, y, "add_quotient", names, **parameters, **output_parameters(y))


def emit_product(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Mul: the product of the centred codes through the requantizer, by float32(float32(a_scale * b_scale) / scale)."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    op, parameters = requantizers.multiplied(requantizers.Scaling(a.scales, b.scales, y.scales), y, target)
    exact.emit_product(builder, node, clamp, names, a, b, op=op, **parameters)


def emit_mean(
    builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, axes: tuple[int, ...], count: int
) -> None:
    """MEAN: through float32, the multiplier float32(float32(x_scale / scale) * float32(1 / count))."""
    y = builder.coded(clamp.output, node)
    multiplier = (x.scales[0] / y.scales[0]) * (np.float32(1) / np.float32(count))
    parameters: dict[str, Any] = {
        "axes": axes,
        "keepdims": bool(node.attributes.get("keepdims", True)),
        "x_zero": x.zero_point[0],
        "multiplier": multiplier,
    }
    emit_clamped(builder, node, clamp, y, "reduce_mean_xnnpack", (name,), **parameters, **output_parameters(y))


def requantize_table(x: Format, y: Format, target: Target) -> Array:
    """QUANTIZE of codes: half_up(m * (x - x_zero) / 2**8) + zero_point, m = rint(256 * x_scale / scale)."""
    return leaky_relu_table(1.0, x, y, target)


def leaky_relu_table(alpha: float, x: Format, y: Format, target: Target) -> Array:
    """LEAKY_RELU: half_up(m * (x - x_zero) / 2**8) + zero_point, m = rint(256 * x_scale / scale).

    Below zero m = rint(256 * x_scale * alpha / scale).
    """
    positive = x.scales[0] / y.scales[0]
    negative = positive if alpha == 1.0 else (x.scales[0] * np.float32(alpha)) / y.scales[0]
    slopes = [int(np.rint(np.float32(256) * ratio)) for ratio in (positive, negative)]
    centred = np.arange(x.low, x.high + 1, dtype=np.int64) - x.zero_point[0]
    scaled = (np.where(centred >= 0, slopes[0], slopes[1]) * centred + 128) >> 8
    return np.clip(scaled + y.zero_point[0], y.low, y.high)
