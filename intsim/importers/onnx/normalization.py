"""BatchNormalization."""

from __future__ import annotations

from collections.abc import Mapping

from intsim.importers.onnx.activation import real_constant
from intsim.importers.onnx.builder import GraphBuilder
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer, translate


def batch_normalization(builder: GraphBuilder, node: OnnxNode) -> None:
    """BatchNormalization in inference: scale * (x - mean) / sqrt(var + epsilon) + B, parameters real constants."""
    if node.integer("training_mode", 0) or any(o in builder.read for o in node.outputs[1:]):
        raise node.unsupported("in training; supported: training_mode 0 and one output")
    x = builder.reals(node, 0, "x")
    names = ("scale", "B", "mean", "var")
    parameters = [real_constant(builder, node, i + 1, name) for i, name in enumerate(names)]
    epsilon = node.real("epsilon", 1e-5)
    variance = parameters[3].constant
    assert variance is not None
    if variance.size and not float(variance.min()) + epsilon > 0:
        raise node.malformed("a variance plus epsilon is not positive")
    translate(builder, node, "BatchNormalization", [x, *parameters], {"epsilon": epsilon})


OPS: Mapping[tuple[str, str], Importer] = {("", "BatchNormalization"): batch_normalization}
