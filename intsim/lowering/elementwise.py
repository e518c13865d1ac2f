"""Add, Sub, Mul and Concat: operands aligned, one exact result, one requantization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from intsim.errors import UnsupportedOp
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import exact, onnxruntime, shift, tflite, tosa, xnnpack
from intsim.lowering.activation import emit_requantize_codes
from intsim.lowering.builder import LayerBuilder, output_parameters, plain_output_parameters
from intsim.lowering.clamped import emit_clamped
from intsim.lowering.clamps import Clamp
from intsim.lowering.families import FAMILIES

Emit = Callable[[LayerBuilder, Node, Clamp, tuple[str, ...], Format, Format], None]


def lower_elementwise(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """y = requantize(a op b) by the arithmetic of the target's family; Concat requantizes each operand."""
    y = builder.coded(clamp.output, node)
    names = tuple(builder.operand(name, node) for name in node.inputs)
    if node.op == "Concat":
        parts = tuple(
            emit_requantize_codes(builder, node, name, f"{clamp.output}#{i}", builder.coded(name, node), y)
            for i, name in enumerate(names)
        )
        emit_clamped(builder, node, clamp, y, "concat", parts, axis=node.attributes["axis"])
        return
    a, b = (builder.coded(name, node) for name in names)
    emitters = PRODUCTS if node.op == "Mul" else SUMS
    emitters[FAMILIES[builder.target.at(node.name).requantizer]](builder, node, clamp, names, a, b)


def _emit_float32(
    builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format
) -> None:
    """Add: half_even(fma(a, a_scale / scale, fma(b, b_scale / scale, k))), k of the zero points, in float32.

    Mul: half_even(float32(product of the centred codes) * (a_scale * b_scale / scale) + zero_point), in float32.
    """
    y = builder.coded(clamp.output, node)
    op, operands, parameters = onnxruntime.elementwise(builder, node, names, a, b, y)
    emit_clamped(builder, node, clamp, y, op, operands, **parameters, **plain_output_parameters(y))


def _emit_shifted(
    builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format
) -> None:
    """Add or Sub: round(((a << e_a - e) ± (b << e_b - e)) / 2**(e_y - e)) + zero_point, e the smaller exponent.

    With alignment `right` the finer operand is shifted right to the larger exponent instead, and rounded. Mul:
    round(a * b / 2**(e_y - e_a - e_b)) + zero_point. a, b: the codes less their zero points.
    """
    y = builder.coded(clamp.output, node)
    if builder.target.at(node.name).alignment == "right" and node.op != "Mul":
        names, a, b = _aligned_right(builder, node, clamp, names, a, b)
    parameters = {**_shifts(builder, node, a, b, y), **output_parameters(y)}
    emit_clamped(builder, node, clamp, y, node.op.lower(), names, **parameters)


def _aligned_right(
    builder: LayerBuilder, node: Node, clamp: Clamp, names: tuple[str, ...], a: Format, b: Format
) -> tuple[tuple[str, ...], Format, Format]:
    """The operands at the larger exponent of the two: the finer one is shifted right and rounded, to an int32."""
    exponents = [shift.exponent(format, name, node) for name, format in zip(names, (a, b), strict=True)]
    coarse = max(exponents)
    aligned, formats = [], []
    for key, name, format, e in zip("ab", names, (a, b), exponents, strict=True):
        if e == coarse:
            aligned.append(name)
            formats.append(format)
            continue
        if any(format.zero_point):
            raise UnsupportedOp(
                f"node {node.name!r} ({node.op}): tensor {name!r} has a zero point, and target "
                f"{builder.target.name!r} aligns operands by right shifts, for symmetric codes only"
            )
        unit = Format(32, True, False, (2.0**coarse,))
        parameters = {"shift": coarse - e, "rounding": builder.target.at(node.name).rounding, **output_parameters(unit)}
        aligned.append(builder.emit("requantize", (name,), f"{clamp.output}#{key}", unit, node, **parameters))
        formats.append(unit)
    return tuple(aligned), formats[0], formats[1]


SUMS: Mapping[str, Emit] = {
    "shift": _emit_shifted,
    "onnxruntime": _emit_float32,
    "tflite": tflite.emit_sum,
    "tosa": tosa.emit_sum,
    "xnnpack": xnnpack.emit_sum,
    "quotient": exact.emit_sum,
}
PRODUCTS: Mapping[str, Emit] = {
    "shift": _emit_shifted,
    "onnxruntime": _emit_float32,
    "tflite": tflite.emit_product,
    "tosa": tosa.emit_product,
    "xnnpack": xnnpack.emit_product,
    "quotient": exact.emit_product,
}
"""Family -> the function that lowers Add and Sub, and Mul."""


def _shifts(builder: LayerBuilder, node: Node, a: Format, b: Format, y: Format) -> dict[str, Any]:
    """Both operands shifted left to the smaller exponent, the exact result shifted to the output's exponent."""
    e_a, e_b = shift.exponent(a, node.inputs[0], node), shift.exponent(b, node.inputs[1], node)
    e_y = shift.exponent(y, node.outputs[0], node)
    common: dict[str, Any] = {
        "a_zero": a.zero_point[0],
        "b_zero": b.zero_point[0],
        "rounding": builder.target.at(node.name).rounding,
    }
    if node.op == "Mul":
        return {"shift": e_y - (e_a + e_b), **common}
    e = min(e_a, e_b)
    return {"a_shift": e_a - e, "b_shift": e_b - e, "shift": e_y - e, **common}
