"""emit: one ONNX node becomes one node of the graph, and its outputs become reals or codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from intsim.formats import Format
from intsim.importers.builder import Builder, Operand, named_lengths
from intsim.importers.onnx_node import OnnxNode
from intsim.importers.quantizers import sole_quantizer
from intsim.ops import output_shapes

Importer = Callable[[Builder, OnnxNode], None]
"""What an op family holds for each op: the function that adds such a node to the graph."""


def emit(
    builder: Builder,
    node: OnnxNode,
    op: str,
    inputs: Sequence[Operand | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    codes: Format | None = None,
    keep: Format | None = None,
) -> None:
    """Add the node `op` that stands for `node`, with the QuantizeLinear behind each output that has one.

    codes: the Format of an integer output. keep: the Format of the codes that a real output still is exactly
    (data movement) where no QuantizeLinear follows; None: it is real there.
    Errors: MalformedGraph when the shapes do not fit, UnsupportedOp when nothing but constants goes in.
    """
    given = [i for i in inputs if i is not None]
    if all(i.constant is not None for i in given):
        raise node.unsupported("all its inputs are constants: fold the model's constants before (onnxsim, ORT)")
    attributes = dict(attributes or {})
    shapes = output_shapes(op, attributes, [i.shape for i in given], node.name)
    if any(0 in shape for shape in (*shapes, *(i.shape for i in given))):
        raise node.unsupported("it reads or makes an empty tensor; supported: lengths of 1 or more")
    names = []
    sources = [s for i in given for s in i.sources] + [node.name]
    outputs: list[tuple[Operand, str]] = []
    for tensor, lengths in zip(node.outputs, shapes, strict=False):
        shape = named_lengths(lengths, tensor or node.name)
        quantizer = sole_quantizer(builder, tensor, shape) if codes is None and tensor else None
        if codes is not None:
            made = Operand(tensor, shape, codes, integer=True)
        elif quantizer is not None:
            sources += quantizer.sources
            made = Operand(quantizer.name, shape, quantizer.format, integer=True)
            builder.operands[quantizer.name] = made
        elif keep is not None:
            made = Operand(f"{tensor}#codes" if tensor in builder.model.outputs else tensor, shape, keep)
        else:
            made = Operand(tensor, shape)
        builder.operands[tensor] = replace(made, integer=codes is not None)
        builder.add_value(made.name, shape, made.format)
        names.append(made.name)
        outputs.append((made, tensor))
    used = [builder.use(i, node) if i is not None else "" for i in inputs]
    builder.add_node(op, used, names, attributes, node, sources)
    for made, tensor in outputs:
        if made.name == f"{tensor}#codes":
            builder.dequantize(made, tensor, node, f"{node.name}#dequantize")


def view_as(builder: Builder, node: OnnxNode, x: Operand, format: Format, tensor: str) -> Operand:
    """The codes x with the meaning `format`: a Reinterpret node where their maker gave them another one."""
    if x.constant is not None:
        declared = builder.values.get(x.name)
        name = x.name if declared is None or declared.format == format else f"{x.name}#{tensor}"
        return replace(x, name=name, format=format)
    if x.name in builder.raw_inputs:
        builder.set_input_format(x.name, format)
    elif x.format != format:
        name = f"{tensor}#codes" if tensor in builder.model.outputs else tensor
        builder.add_value(name, x.shape, format)
        builder.add_node("Reinterpret", [x.name], [name], {}, node, [node.name], f"{node.name}#reinterpret")
        return replace(x, name=name, format=format)
    return replace(x, format=format)
