"""A layer and the clamp after it."""

from __future__ import annotations

from typing import Any

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering.builder import LayerBuilder
from intsim.lowering.clamps import Clamp


def emit_clamped(
    builder: LayerBuilder,
    node: Node,
    clamp: Clamp,
    format: Format,
    op: str,
    inputs: tuple[str, ...],
    remark: str = "",
    **parameters: Any,
) -> None:
    """Emit the layer, and after it the clip of its codes where the clamp changes any. remark: a note on the layer."""
    codes = clamp.codes(format)
    note = " + ".join(n.op for n in clamp.nodes)
    if codes is None:
        notes = [remark, f"{note} changes no code" if note else ""]
        text = "; ".join(n for n in notes if n)
        builder.emit(op, inputs, clamp.output, format, node, note=text, **parameters)
        return
    before = builder.emit(op, inputs, f"{clamp.output}#unclamped", format, node, note=remark, **parameters)
    builder.emit("clip", (before,), clamp.output, format, node, note=f"{note} on codes", low=codes[0], high=codes[1])
