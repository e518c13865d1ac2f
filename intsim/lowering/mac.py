"""Conv, MatMul and Gemm: an accumulator, then the target's requantizer; two layers, so that both can be tapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import accumulator as accumulators
from intsim.lowering import onnxruntime, post, requantizers, shift
from intsim.lowering.activation import constant_reals, emit_table
from intsim.lowering.builder import LayerBuilder, channels, output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.lowering.fold_affine import FOLDED
from intsim.lowering.lowered import accumulator_of


def lower_mac(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """acc = conv or matmul of centred codes + aligned bias; y = requantize(acc); then the clamp, if any.

    A LeakyRelu or PRelu after it is part of it: on the accumulator, or a table on codes of the output's format.
    A node without output quantizer keeps its accumulator, dequantized: y = float32(acc) * scale. ConvInteger and
    MatMulInteger (attribute raw_output) put out the accumulator itself.
    """
    y = builder.graph.format(clamp.output)
    x, w = builder.coded(node.inputs[0], node), post.as_uniform(builder.coded(node.inputs[1], node))
    accumulator, unit = emit_accumulator(builder, node, clamp.output)
    if y is None:
        builder.dequantize(accumulator, clamp.output, unit, node)
        return
    if node.attributes.get("raw_output"):
        builder.emit("copy", (accumulator,), clamp.output, unit, node)
        return
    axis = 1 if node.op == "Conv" else -1
    op, parameters = requantization(builder, node, clamp, x, w, y, unit)
    if clamp.slope is None:
        emit_clamped(builder, node, clamp, y, op, (accumulator,), axis=axis, **parameters)
    elif builder.target.at(node.name).activation == "before":
        name = emit_slope_before(builder, node, clamp.slope, accumulator, unit, axis)
        builder.emit(op, (name,), clamp.output, y, node, note=f"{clamp.slope.op} before", axis=axis, **parameters)
    else:
        codes = builder.emit(op, (accumulator,), f"{clamp.output}#inactive", y, node, axis=axis, **parameters)
        emit_table(builder, clamp.slope, codes, clamp.output, y, y, constant_reals(builder, clamp.slope))


def emit_slope_before(
    builder: LayerBuilder, node: Node, activation: Node, accumulator: str, unit: Format, axis: int
) -> str:
    """The layer of a LeakyRelu or PRelu on the accumulator; its name. The slope: half_up(slope * 2**slope_bits)."""
    target = builder.target.at(node.name)
    reals = [np.float32(activation.attributes["alpha"])] if activation.op == "LeakyRelu" else []
    slopes = np.concatenate([np.ravel(r) for r in reals or constant_reals(builder, activation)]).astype(np.float64)
    codes = np.floor(np.ldexp(slopes, target.slope_bits) + 0.5)  # exact: a float32 and its half have room in float64
    if np.abs(codes).max() >= 1 << 31:
        raise UnsupportedOp(
            f"node {activation.name!r} ({activation.op}): a slope of {np.abs(slopes).max():g} does not fit in 32 bits "
            f"with {target.slope_bits} fraction bits; give the target fewer slope_bits, or activation 'after'"
        )
    return builder.emit(
        "leaky_relu",
        (accumulator,),
        f"{accumulator}#activated",
        unit,
        node,
        note=f"project's choice: the slope in {target.slope_bits} fraction bits, {target.rounding}",
        slope=shift.scalar_or_array(codes.astype(np.int64)),
        shift=target.slope_bits,
        rounding=target.rounding,
        width=unit.bits,
        axis=axis,
    )


def requantization(
    builder: LayerBuilder, node: Node, clamp: Clamp, x: Format, w: Format, y: Format, unit: Format
) -> tuple[str, dict[str, Any]]:
    """The spec function that makes codes of the accumulator, and its parameters but for the axis."""
    target = builder.target.at(node.name)
    if target.requantizer == "float32":
        multiplier = onnxruntime.multiplier(node, x, w, y)
        return "requantize_float32", {"multiplier": multiplier, **output_parameters(y)}
    if target.shifts_only:
        amount = shift.scalar_or_array(shift.exponent(y, clamp.output, node) - shift.exponents(unit))
        added = bias(builder, node, unit) if target.requantizer == "max7800x" else None
        return shift.requantization(node, target, amount, accumulators.rounding_of(target), added, y)
    dense = node.op != "Conv" and node.inputs[1] in builder.graph.constants
    name = (target.fully_connected if dense else None) or target.requantizer
    alpha = np.float32(node.attributes.get("alpha", 1.0))
    scaling = requantizers.Scaling(alpha * x.scales, w.scales, y.scales, dense)
    try:
        return requantizers.requantization(name, scaling, y, unit.bits, target)
    except OutOfDomain as error:
        raise OutOfDomain(
            f"node {node.name!r} ({node.op}): {error}; give tensor {clamp.output!r} another scale than "
            f"{y.scale[0]!r}, or use another target than {target.name!r}"
        ) from error


def emit_accumulator(builder: LayerBuilder, node: Node, output: str) -> tuple[str, Format]:
    """The layer that makes the raw accumulator of `output`; its name, and its Format (e_t or x_scale * w_scale)."""
    target = builder.target.at(node.name)
    x, weight_format = builder.coded(node.inputs[0], node), builder.coded(node.inputs[1], node)
    w = post.as_uniform(weight_format)
    bits = target.accumulator(x.bits, w.bits)
    scale = sum_scale(node, x, w)
    unit = Format(
        bits,
        True,
        False,
        tuple(float(s) for s in scale),
        (0,),
        None if len(scale) == 1 else _axis(builder, node),
    )
    name = accumulator_of(output)
    parameters: dict[str, Any] = {
        "bias": None if _added_later(builder, node, output) else bias(builder, node, unit),
        "accumulator_bits": bits,
        "overflow": target.overflow,
        **accumulators.summation_of(target, node, x, w, builder.graph.values[node.inputs[1]].shape),
        **accumulators.constant_of(target, node, unit, builder.graph.format(output), output),
    }
    first = builder.operand(node.inputs[0], node)
    weights = builder.graph.constants.get(node.inputs[1])
    zeros = (x.zero_point[0], channels(w.zero_point))
    operand = "w" if node.op == "Conv" else "b"
    keys = ("x_zero", "w_zero") if node.op == "Conv" else ("a_zero", "b_zero")
    parameters.update(zip(keys, zeros, strict=True))
    if weights is None:
        inputs: tuple[str, ...] = (first, builder.operand(node.inputs[1], node))
    else:
        inputs = (first,)
        parameters[operand] = weights
    if node.op == "Conv":
        parameters.update({k: node.attributes[k] for k in ("strides", "pads", "dilations", "groups")})
    builder.accumulators[output] = name
    folded = node.attributes.get(FOLDED, ())
    note = f"{', '.join(folded)} folded into its weights and bias" if folded else ""
    op, parameters = post.look_up("conv" if node.op == "Conv" else "matmul", parameters, node, x, weight_format)
    return builder.emit(op, inputs, name, unit, node, note=note, **parameters), unit


def sum_scale(node: Node, x: Format, w: Format) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The scale of the sum, float32[1] or [channels]: alpha * x_scale * w_scale, each product rounded to float32."""
    alpha = np.float32(node.attributes.get("alpha", 1.0))
    return np.atleast_1d((alpha * x.scales) * w.scales)


def bias(builder: LayerBuilder, node: Node, unit: Format) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The bias in units of the accumulator, int64[channels]; None where there is none."""
    target = builder.target.at(node.name)
    name = node.inputs[2] if len(node.inputs) > 2 else ""
    if not name:
        return None
    values = builder.graph.constants.get(name)
    if values is None:
        raise UnsupportedOp(f"node {node.name!r} ({node.op}): bias {name!r} must be a constant")
    if values.size != values.shape[-1]:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): bias {name!r} of shape {values.shape} must be one value per channel"
        )
    values = values.reshape(-1)
    format = builder.graph.format(name)
    if target.requantizer == "float32":
        aligned = bool(node.attributes.get("aligned_bias"))
    else:
        aligned = target.shifts_only or requantizers.is_shifted_bias(node, name, format, unit, target)
    if not aligned:
        return onnxruntime.bias_codes(values, format, unit)
    e_t = shift.exponents(unit)
    if format is None:
        return accumulators.quantized_bias(values, e_t, target)
    accumulators.check_bias(values, node, target)
    beta = np.float32(node.attributes.get("beta", 1.0))
    if beta != 1.0:
        raise UnsupportedOp(f"node {node.name!r} (Gemm): beta must be 1.0, not {float(beta)!r}")
    return shift.aligned_bias(values, shift.exponents(format), e_t, node, target)


BIAS_RULES: Mapping[str, str] = {
    "float32": "int32 codes join the sum as they are, whatever their scale; a real bias becomes "
    "half_even(float32(b / (x_scale * w_scale))).",
    "shifts": "codes are shifted left to the exponent e_t of the sum, by 0 to `headroom` bits, so nothing is rounded; "
    "a real bias becomes half_up(b / 2**e_t) (project's choice).",
    "codes": "int32 codes at x_scale * w_scale join the sum as they are, powers of two apart they are shifted left, "
    "another scale is refused; a real bias becomes half_even(float32(b / (x_scale * w_scale))).",
}
"""What `bias` makes of codes and of reals: with the requantizer `float32`, with those that only shift, with others."""

BIAS_ADDED: Mapping[str, str] = {
    "max7800x": "there is none: the requantizer adds it, an int8 shifted left by 7, and other values are refused"
}
"""Requantizer -> where the bias joins, where that is not the sum."""


def _added_later(builder: LayerBuilder, node: Node, output: str) -> bool:
    """Whether the target adds the bias when it requantizes: the MAX7800x, and only where it requantizes."""
    requantizes = builder.graph.format(output) is not None and not node.attributes.get("raw_output")
    return requantizes and builder.target.at(node.name).requantizer == "max7800x"


def _axis(builder: LayerBuilder, node: Node) -> int:
    return 1 if node.op == "Conv" else len(builder.graph.values[node.outputs[0]].shape) - 1
