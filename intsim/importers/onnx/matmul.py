"""MatMul, Gemm and MatMulInteger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.layer_bias import bias_attributes, bias_input
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.raw_integers import RAW_ACCUMULATOR, centred_operand
from intsim.importers.onnx.translate import Importer, translate


def matmul(builder: GraphBuilder, node: OnnxNode) -> None:
    """MatMul on reals, or on the views of codes."""
    translate(builder, node, "MatMul", [builder.reals(node, 0, "a"), builder.reals(node, 1, "b")])


def matmul_integer(builder: GraphBuilder, node: OnnxNode) -> None:
    """MatMulInteger: the int32 accumulator is the output."""
    a, b = centred_operand(builder, node, 0, 2, "a", None), centred_operand(builder, node, 1, 3, "b", -1)
    translate(builder, node, "MatMul", [a, b], {"raw_output": True}, codes=RAW_ACCUMULATOR)


def gemm(builder: GraphBuilder, node: OnnxNode) -> None:
    """Gemm: alpha * a @ b + beta * c, transposed operands written out."""
    a, b = builder.reals(node, 0, "a"), builder.reals(node, 1, "b")
    c = bias_input(builder, node, 2)
    a = transposed(builder, node, a) if node.integer("transA", 0) else a
    b = transposed(builder, node, b) if node.integer("transB", 0) else b
    translate(builder, node, "Gemm", [a, b, c], {**gemm_attributes(node), **bias_attributes(node)})


def gemm_attributes(node: OnnxNode) -> dict[str, float]:
    """alpha and beta."""
    return {"alpha": node.real("alpha", 1.0), "beta": node.real("beta", 1.0)}


def transposed(builder: GraphBuilder, node: OnnxNode, x: Operand) -> Operand:
    """The matrix x transposed: a constant at once, named x.T, anything else by a Transpose node."""
    if len(x.shape) != 2:
        raise node.malformed(f"operand {x.name!r} has rank {len(x.shape)}, must be 2")
    format = x.format
    if format is not None and format.axis is not None:
        format = replace(format, axis=1 - format.axis)
    name, shape = builder.free_name(f"{x.name}.T"), x.shape[::-1]
    turned = replace(x, name=name, shape=shape, format=format)
    if x.constant is not None:
        return replace(turned, constant=x.constant.T)
    if name not in builder.values:
        builder.add_value(name, shape, format)
        builder.add_node("Transpose", [x.name], [name], {"perm": (1, 0)}, node, x.sources, name)
    return turned


OPS: Mapping[tuple[str, str], Importer] = {
    ("", "MatMul"): matmul,
    ("", "Gemm"): gemm,
    ("", "MatMulInteger"): matmul_integer,
}
