"""Functions of one tensor, codes to codes: tables with one entry a code, or a clamp of the codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim import islands
from intsim.errors import UnsupportedOp
from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering import tables
from intsim.lowering.builder import Builder
from intsim.lowering.clamps import Clamp, bounds

OPS = (*tables.FUNCTIONS, "CodeClip")
TABLE_BITS = 16
"""The widest input that gets a table (65,536 entries)."""


def lower_activation(builder: Builder, node: Node, clamp: Clamp) -> None:
    """y = table[x - low], one correctly rounded result a code; Relu and Clip that keep the format clamp codes."""
    name, output = builder.operand(node.inputs[0], node), node.outputs[0]
    x, y = builder.coded(name, node), builder.coded(output, node)
    if node.op == "CodeClip":
        low, high = node.attributes["low"], node.attributes["high"]
        builder.emit("clip", (name,), output, y, node, low=low, high=high)
        return
    if node.op in ("Relu", "Clip") and x == y:
        codes = Clamp(output, *bounds(node)).codes(y) or (y.low, y.high)
        builder.emit("clip", (name,), output, y, node, low=codes[0], high=codes[1])
        return
    constants = [builder.graph.constants[n] for n in node.inputs[1:] if n in builder.graph.constants]
    if len(constants) != len(node.inputs) - 1:
        raise UnsupportedOp(f"node {node.name!r} ({node.op}): its parameters must be constants")
    reals = [
        c if (f := builder.graph.format(n)) is None else f.real(c)
        for n, c in zip(node.inputs[1:], constants, strict=True)
    ]
    emit_table(builder, node, name, output, x, y, reals)


def emit_requantize_codes(builder: Builder, node: Node, name: str, output: str, x: Format, y: Format) -> str:
    """The codes of `name` in another format (a table); `name` itself where the formats are equal."""
    if x == y:
        return name
    return emit_table(builder, node, name, output, x, y, [], function="Requantize")


def emit_table(
    builder: Builder,
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
    target = builder.target.at(node.name)
    make = tables.float32_table if target.requantizer == "float32" else tables.exact_table
    table = make(function or node.op, node.attributes, constants, x, y, target.rounding)
    exact = target.requantizer != "float32" or islands.is_exact(function or node.op, node.attributes, 0)
    return builder.emit(
        "table",
        (name,),
        output,
        y,
        node,
        exact=exact,
        note="" if exact else f"{node.op} in float32: the order of its operations is not known",
        table=table.astype(y.dtype),
        low=x.low,
        axis=1,
    )
