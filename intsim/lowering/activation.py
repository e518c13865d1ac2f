"""Functions of one tensor, codes to codes: tables with one entry a code, or a clamp of the codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.errors import UnsupportedOp
from intsim.formats import Format
from intsim.graph import Node
from intsim.islands import evaluate as islands
from intsim.lowering import tables, tflite, xnnpack
from intsim.lowering.builder import LayerBuilder
from intsim.lowering.clamps import Clamp, bounds
from intsim.lowering.families import FAMILIES
from intsim.ops import CLAMPS
from intsim.target import Target

OPS = (*tables.FUNCTIONS, "CodeClip")
TABLE_BITS = 16
"""The widest input that gets a table (65,536 entries)."""

REQUANTIZE = {"tflite": tflite.requantize_table, "xnnpack": xnnpack.requantize_table}
LEAKY_RELU = {"tflite": tflite.leaky_relu_table, "xnnpack": xnnpack.leaky_relu_table}
"""Family -> its table of a change of format, and of LeakyRelu, where its source defines one."""


def lower_activation(builder: LayerBuilder, node: Node, clamp: Clamp) -> None:
    """y = table[x - low], one correctly rounded result a code; Relu and Clip that keep the format clamp codes."""
    name, output = builder.operand(node.inputs[0], node), node.outputs[0]
    x, y = builder.coded(name, node), builder.coded(output, node)
    if node.op == "CodeClip":
        low, high = node.attributes["low"], node.attributes["high"]
        builder.emit("clip", (name,), output, y, node, low=low, high=high)
        return
    if node.op in CLAMPS and x == y:
        codes = Clamp(output, *bounds(node)).codes(y) or (y.low, y.high)
        builder.emit("clip", (name,), output, y, node, low=codes[0], high=codes[1])
        return
    emit_table(builder, node, name, output, x, y, constant_reals(builder, node))


def constant_reals(builder: LayerBuilder, node: Node) -> list[np.ndarray[Any, Any]]:
    """The parameters of a node after its first operand, as reals. Errors: UnsupportedOp where one is computed."""
    constants = [builder.graph.constants[n] for n in node.inputs[1:] if n in builder.graph.constants]
    if len(constants) != len(node.inputs) - 1:
        raise UnsupportedOp(f"node {node.name!r} ({node.op}): its parameters must be constants")
    return [
        c if (f := builder.graph.format(n)) is None else f.real(c)
        for n, c in zip(node.inputs[1:], constants, strict=True)
    ]


def emit_requantize_codes(builder: LayerBuilder, node: Node, name: str, output: str, x: Format, y: Format) -> str:
    """The codes of `name` in another format (a table); `name` itself where the formats are equal."""
    if x == y:
        return name
    return emit_table(builder, node, name, output, x, y, [], function="Requantize")


def emit_table(
    builder: LayerBuilder,
    node: Node,
    name: str,
    output: str,
    x: Format,
    y: Format,
    constants: list[np.ndarray[Any, Any]],
    function: str | None = None,
) -> str:
    """Add the table layer of a function of one tensor."""
    if x.bits > TABLE_BITS:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): tensor {name!r} has {x.bits} bits; a table takes {TABLE_BITS} at most"
        )
    for format, tensor in ((x, name), (y, output)):
        if format.per_channel:
            raise UnsupportedOp(f"node {node.name!r} ({node.op}): tensor {tensor!r} must be quantized per_tensor")
    op = function or node.op
    table, note = make_table(op, node, constants, x, y, builder.target.at(node.name))
    exact = FAMILIES[builder.target.at(node.name).requantizer] != "onnxruntime" or islands.is_exact(
        op, node.attributes, 0
    )
    return builder.emit(
        "table",
        (name,),
        output,
        y,
        node,
        exact=exact,
        note=note if exact else f"{node.op} in float32: the order of its operations is not known",
        table=table.astype(y.dtype),
        low=x.low,
        axis=1,
    )


def make_table(
    op: str, node: Node, constants: list[np.ndarray[Any, Any]], x: Format, y: Format, target: Target
) -> tuple[np.ndarray[Any, Any], str]:
    """The table of a function under a target's arithmetic, and a note where it is the project's choice."""
    family = FAMILIES[target.requantizer]
    if family == "onnxruntime":
        return tables.float32_table(op, node.attributes, constants, x, y, target.rounding), ""
    if family in REQUANTIZE and op == "Requantize":
        return REQUANTIZE[family](x, y, target), f"{family}'s QUANTIZE of each code"
    if family in LEAKY_RELU and op == "LeakyRelu":
        alpha = float(node.attributes["alpha"])
        return LEAKY_RELU[family](alpha, x, y, target), f"{family}'s LEAKY_RELU of each code"
    rounding = target.table_rounding or target.rounding
    table = tables.exact_table(op, node.attributes, constants, x, y, rounding)
    note = "" if target.requantizer == "shift" else f"project's choice: a table of exact results, {rounding}"
    return table, note
