"""Layers that compute one exact quotient: the project's choice where a target's public sources define no arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import Any

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import requantizers
from intsim.lowering.builder import LayerBuilder, output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.target import Target

CHOICE = "project's choice: the target's public sources do not define it, so one exact quotient, {rounding}"
PRODUCT = "project's choice: the product is requantized like an accumulator"


def choice(target: Target) -> str:
    """The note on a layer whose arithmetic is this project's choice."""
    return CHOICE.format(rounding=target.rounding)


def emit_sum(builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format) -> None:
    """Add or Sub: round(((a - a_zero) * a_scale ± (b - b_zero) * b_scale) / scale) + zero_point."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    unit = Fraction(y.scale[0])
    ratios = [Fraction(a.scale[0]) / unit, Fraction(b.scale[0]) / unit * (-1 if node.op == "Sub" else 1)]
    divisor = lcm(*(r.denominator for r in ratios))
    factors = [int(r * divisor) for r in ratios]
    parameters: dict[str, Any] = {
        "a_factor": factors[0],
        "b_factor": factors[1],
        "a_zero": a.zero_point[0],
        "b_zero": b.zero_point[0],
        "divisor": divisor,
        "rounding": target.rounding,
    }
    emit_clamped(
        builder, node, clamp, y, "add_quotient", names, remark=choice(target), **parameters, **output_parameters(y)
    )


def emit_product(
    builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format, **rounded: Any
) -> None:
    """Mul: the exact product of the centred codes, an int32, requantized as an accumulator is.

    Arguments: rounded is op, parameters and remark of the layer that requantizes it; default the target's own
    requantizer, the project's choice.
    """
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    if not rounded:
        scaling = requantizers.Scaling(a.scales, b.scales, y.scales)
        op, parameters = requantizers.multiplied(scaling, y, target)
        rounded = {"op": op, "remark": PRODUCT, **parameters}
    unit = Format(32, True, False, (float(a.scales[0] * b.scales[0]),))
    zeros: dict[str, Any] = {"a_zero": a.zero_point[0], "b_zero": b.zero_point[0]}
    exact: dict[str, Any] = {"shift": 0, "rounding": "half_up", **output_parameters(unit)}
    name = builder.emit("mul", names, f"{clamp.output}#product", unit, node, **zeros, **exact)
    emit_clamped(builder, node, clamp, y, inputs=(name,), **rounded)


def emit_int32_sum(builder: LayerBuilder, node: Node, output: str, parts: tuple[str, ...], unit: Format) -> str:
    """The sum or difference of two int32 of one unit, exact."""
    nothing = dict.fromkeys(("a_shift", "b_shift", "a_zero", "b_zero", "shift"), 0)
    parameters: dict[str, Any] = {**nothing, "rounding": "half_up", **output_parameters(unit)}
    return builder.emit(node.op.lower(), parts, f"{output}#sum", unit, node, **parameters)


def emit_total(builder: LayerBuilder, node: Node, output: str, name: str, x: Format, axes: tuple[int, ...]) -> str:
    """The exact int32 sum of x - x_zero over axes."""
    keepdims = node.attributes.get("keepdims", True)
    unit = Format(32, True, False, x.scale)
    parameters: dict[str, Any] = {"axes": axes, "keepdims": bool(keepdims), "x_zero": x.zero_point[0]}
    return builder.emit("reduce_sum", (name,), f"{output}#sum", unit, node, **parameters)


def emit_mean(
    builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, axes: tuple[int, ...], count: int
) -> None:
    """round(sum * x_scale / (count * scale)) + zero_point."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    ratio = Fraction(x.scale[0]) / Fraction(y.scale[0]) / count
    total = emit_total(builder, node, clamp.output, name, x, axes)
    emit_quotient(builder, node, clamp, y, total, ratio, choice(target))


def emit_quotient(
    builder: LayerBuilder, node: Node, clamp: Clamp, y: Format, name: str, ratio: Fraction, remark: str
) -> None:
    """round(name * ratio) + zero_point."""
    parameters = {"factor": ratio.numerator, "divisor": ratio.denominator}
    rounding = builder.target.at(node.name).rounding
    emit_clamped(
        builder,
        node,
        clamp,
        y,
        "requantize_quotient",
        (name,),
        remark=remark,
        **parameters,
        rounding=rounding,
        **output_parameters(y),
    )


def emit_pool(
    builder: LayerBuilder, node: Node, clamp: Clamp, name: str, x: Format, ratio: Fraction, remark: str
) -> None:
    """AveragePool: round(sum of the window * ratio / count) + zero_point."""
    y, target = builder.coded(clamp.output, node), builder.target.at(node.name)
    parameters = {
        **window(node),
        "x_zero": x.zero_point[0],
        "factor": ratio.numerator,
        "divisor": ratio.denominator,
        "rounding": target.rounding,
    }
    emit_clamped(
        builder, node, clamp, y, "average_pool_quotient", (name,), remark=remark, **parameters, **output_parameters(y)
    )


def window(node: Node) -> dict[str, Any]:
    """The window of an AveragePool, as the spec's functions take it."""
    keys = ("kernel", "strides", "pads", "dilations", "ceil_mode", "count_include_pad")
    return {k: node.attributes[k] for k in keys}
