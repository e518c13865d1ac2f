"""Float islands and tails: dequantize, the op in float32, quantize, as the model file is written."""

from __future__ import annotations

from intsim.errors import UnsupportedOp
from intsim.graph import Node
from intsim.islands import evaluate as islands
from intsim.lowering import movement
from intsim.lowering.boundary import emit_quantize
from intsim.lowering.builder import LayerBuilder
from intsim.ops import MOVES


def lower_island(builder: LayerBuilder, node: Node, reason: str, *, in_tail: bool) -> None:
    """The node on reals; its coded operands are dequantized first, its coded output is quantized after."""
    if node.op not in islands.FUNCTIONS and node.op not in MOVES:
        raise UnsupportedOp(f"node {node.name!r}: {node.op} has no float form here; {reason}")
    operands = tuple(builder.real(name, node) for name in node.inputs if name)
    rank = len(builder.graph.values[node.inputs[0]].shape)
    exact = islands.is_exact(node.op, node.attributes, rank) or node.op in MOVES
    note = f"float {'tail' if in_tail else 'island'}: {reason}"
    if node.op == "AveragePool":
        raise UnsupportedOp(f"node {node.name!r}: a float AveragePool is not supported; {reason}")
    for index, output in enumerate(node.outputs):
        format = builder.graph.format(output)
        # not "#real": that is the name of the reals that the codes stand for
        real = output if format is None else f"{output}#unquantized"
        if node.op in MOVES:
            movement.emit_movement(builder, node, operands[0], real, None, index, note=note)
        else:
            builder.emit(
                "island",
                operands,
                real,
                None,
                node,
                exact=exact,
                note=note,
                function=node.op,
                attributes=node.attributes,
            )
        if format is not None:
            emit_quantize(builder, node, real, output, format)
