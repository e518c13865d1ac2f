"""Add, Sub, Mul and Concat: operands aligned, one exact result, one requantization."""

from __future__ import annotations

from typing import Any

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import onnxruntime, shift
from intsim.lowering.activation import emit_requantize_codes
from intsim.lowering.builder import Builder, codes_of, plain_codes_of
from intsim.lowering.clamps import Clamp

OPS = ("Add", "Sub", "Mul", "Concat")


def lower_elementwise(builder: Builder, node: Node, clamp: Clamp) -> None:
    """y = requantize(a op b), by shifts or by ONNX Runtime's float32 formulas; Concat requantizes each operand."""
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
    if builder.target.at(node.name).requantizer == "float32":
        op, names, parameters = onnxruntime.elementwise(builder, node, names, a, b, y)
        parameters.update(plain_codes_of(y))
    else:
        op, parameters = node.op.lower(), {**_shifts(builder, node, a, b, y), **codes_of(y)}
    emit_clamped(builder, node, clamp, y, op, names, **parameters)


def emit_clamped(
    builder: Builder,
    node: Node,
    clamp: Clamp,
    format: Format,
    op: str,
    inputs: tuple[str, ...],
    **parameters: Any,
) -> None:
    """Emit the layer, and behind it the clip of its codes where the clamp changes any."""
    codes = clamp.codes(format)
    note = " + ".join(n.op for n in clamp.nodes)
    if codes is None:
        builder.emit(
            op,
            inputs,
            clamp.output,
            format,
            node,
            note=f"{note} changes no code" if note else "",
            **parameters,
        )
        return
    before = builder.emit(op, inputs, f"{clamp.output}#unclamped", format, node, **parameters)
    builder.emit("clip", (before,), clamp.output, format, node, note=f"{note} on codes", low=codes[0], high=codes[1])


def _shifts(builder: Builder, node: Node, a: Format, b: Format, y: Format) -> dict[str, Any]:
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
