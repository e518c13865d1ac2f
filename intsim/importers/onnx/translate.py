"""translate: one ONNX node becomes one node of the graph, and its outputs become reals or codes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from intsim.formats import Format
from intsim.importers.onnx.builder import GraphBuilder, Operand, named_lengths
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.quantizers import Quantizer, sole_quantizer
from intsim.ops import output_shapes, spelled

Importer = Callable[[GraphBuilder, OnnxNode], None]
"""What an op family holds for each op: the function that adds such a node to the graph."""

LARGEST_VALUE = 1 << 32
"""How many elements a tensor may have, unknown lengths not counted: a file of a few bytes can ask for terabytes."""


def translate(
    builder: GraphBuilder,
    node: OnnxNode,
    op: str,
    inputs: Sequence[Operand | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    codes: Format | None = None,
    keep: Format | None = None,
) -> None:
    """Add the node `op` that stands for `node`, with the QuantizeLinear after each output that has one.

    codes: the Format of an integer output. keep: the Format of the codes that a real output still is exactly
    (data movement) where no QuantizeLinear follows, named by the attribute `kept`; None: it is real there.
    Errors: MalformedGraph when the shapes do not fit, UnsupportedOp when nothing but constants goes in.
    """
    given = [i for i in inputs if i is not None]
    if all(i.constant is not None for i in given):
        raise node.unsupported("all its inputs are constants: fold the model's constants before (onnxsim, ORT)")
    attributes = dict(attributes or {})
    shapes = output_shapes(op, attributes, [i.shape for i in given], node.name)
    for shape in (*shapes, *(i.shape for i in given)):
        size = math.prod(n for n in shape if isinstance(n, int))
        if not 0 < size <= LARGEST_VALUE:
            raise node.unsupported(
                f"a tensor of {size} elements ({spelled(shape)}); supported: 1 to {LARGEST_VALUE} for one image"
            )
    names, kept = [], []
    sources = [s for i in given for s in i.sources] + [node.name]
    reals: list[tuple[Operand, str]] = []
    copies: list[tuple[Operand, Quantizer]] = []
    for tensor, lengths in zip(node.outputs, shapes, strict=False):
        shape = named_lengths(lengths, tensor or node.name)
        quantizer = sole_quantizer(builder, tensor, shape) if codes is None and tensor else None
        if codes is not None:
            made = Operand(tensor, shape, codes, integer=True)
        elif quantizer is not None:
            sources += quantizer.sources
            made = Operand(quantizer.name, shape, quantizer.format, integer=True)
            builder.operands[quantizer.name] = made
            copies += [(made, copy) for copy in quantizer.copies]
        elif keep is not None:
            made = Operand(_name_of_codes(builder, tensor), shape, keep)
            kept.append(made.name)
            if made.name != tensor:
                reals.append((made, tensor))
        else:
            made = Operand(tensor, shape)
        builder.operands[tensor] = replace(made, integer=codes is not None)
        builder.add_value(made.name, shape, made.format)
        names.append(made.name)
    if kept:
        attributes["kept"] = tuple(kept)
    used = [builder.use(i, node) if i is not None else "" for i in inputs]
    builder.add_node(op, used, names, attributes, node, sources)
    for made, tensor in reals:
        builder.dequantize(made, tensor, node, f"{node.name}#dequantize")
    for made, copy in copies:
        requantize(builder, node, made, copy)


def requantize(builder: GraphBuilder, node: OnnxNode, x: Operand, quantizer: Quantizer) -> None:
    """Add the node that makes codes of codes, or reals; with the same format it is a copy under another name."""
    builder.add_value(quantizer.name, x.shape, quantizer.format)
    builder.operands[quantizer.name] = Operand(quantizer.name, x.shape, quantizer.format, integer=True)
    op = "QuantizeLinear" if x.format is None else "Requantize"
    sources = [*x.sources, *quantizer.sources]
    builder.add_node(op, [builder.use(x, node)], [quantizer.name], {}, node, sources, quantizer.sources[0])


def _name_of_codes(builder: GraphBuilder, tensor: str) -> str:
    """A name for the codes of a real tensor: its own, unless the graph puts out its reals."""
    return builder.free_name(f"{tensor}#codes") if tensor in builder.model.outputs else tensor


def view_as(builder: GraphBuilder, node: OnnxNode, x: Operand, format: Format, tensor: str) -> Operand:
    """The codes x with the meaning `format`: a Reinterpret node where their maker gave them another one."""
    if x.constant is not None:
        return replace(x, format=format)
    if x.name in builder.raw_inputs:
        builder.set_input_format(x.name, format)
    elif x.format != format:
        name = _name_of_codes(builder, tensor)
        builder.add_value(name, x.shape, format)
        builder.add_node("Reinterpret", [x.name], [name], {}, node, [node.name], f"{node.name}#reinterpret")
        return replace(x, name=name, format=format)
    return replace(x, format=format)
