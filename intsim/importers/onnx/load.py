"""load: each node of a model file to the function that imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from onnx import ModelProto

from intsim.errors import IntsimError
from intsim.graph import Graph
from intsim.importers.onnx import (
    activation,
    concatenation,
    convolution,
    elementwise,
    folding,
    matmul,
    movement,
    normalization,
    padding,
    pooling,
    post,
    qdq,
    qoperator,
    resizing,
)
from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.float_tail import dequantize_tail
from intsim.importers.onnx.model_file import parse_model
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer
from intsim.islands.environment import standard_floats

IMPORTERS: Mapping[tuple[str, str], Importer] = {
    **qdq.OPS,
    **post.OPS,
    **qoperator.OPS,
    **convolution.OPS,
    **matmul.OPS,
    **elementwise.OPS,
    **activation.OPS,
    **pooling.OPS,
    **normalization.OPS,
    **movement.OPS,
    **concatenation.OPS,
    **padding.OPS,
    **resizing.OPS,
    **folding.OPS,
}
"""(domain, op) -> its importer. Identity and Dropout are gone before."""


@standard_floats()
def load(source: str | Path | bytes | ModelProto) -> Graph:
    """The Graph of an ONNX model; see `load_graph`."""
    model, fault = parse_model(source)
    for node in model.nodes:
        if (node.domain, node.op) not in IMPORTERS:
            raise _unknown(node)
        if not (node.outputs and node.outputs[0]):
            raise node.malformed("it has no output")
    builder = GraphBuilder(model)
    for node in _constants_first(model.nodes, set(model.inputs)):
        if not any(o in builder.done for o in node.outputs):
            IMPORTERS[node.domain, node.op](builder, node)
    graph = dequantize_tail(builder.graph())
    if fault is not None:
        raise fault
    return graph


def _constants_first(nodes: Sequence[OnnxNode], inputs: set[str]) -> list[OnnxNode]:
    """The nodes that depend on no input before the others: a scale may be computed late in the file."""
    variable = set(inputs)
    constant, rest = [], []
    for node in nodes:
        if any(i in variable for i in node.inputs):
            variable.update(node.outputs)
            rest.append(node)
        else:
            constant.append(node)
    return constant + rest


def _unknown(node: OnnxNode) -> IntsimError:
    if node.op in ("Identity", "Dropout"):
        return node.unsupported(
            "it copies an input, a constant or another output of the graph to an output, or its mask is read, or it "
            "trains; supported: in the middle of the graph, in inference"
        )
    domains = sorted({domain for domain, _ in IMPORTERS})
    lists = [(d, ", ".join(sorted(op for own, op in IMPORTERS if own == d))) for d in domains]
    names = "; ".join(f"{domain}: {ops}" if domain else f"{ops}, Identity, Dropout" for domain, ops in lists)
    return node.unsupported(f"this op is not supported; supported: {names}")
