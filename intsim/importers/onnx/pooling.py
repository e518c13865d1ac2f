"""MaxPool, AveragePool, GlobalAveragePool, ReduceMean and ReduceMax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intsim.importers.onnx.axes import normal_axes
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.movement import move
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.translate import Importer, translate
from intsim.importers.onnx.windows import window


def max_pool(builder: GraphBuilder, node: OnnxNode) -> None:
    """MaxPool of reals, of views of codes, or of codes: the largest code is that of the largest real."""
    if any(o in builder.read for o in node.outputs[1:]):
        raise node.unsupported("its output Indices is read; supported: the first output only")
    x = builder.data(node, 0, "x")
    if x.format is not None and x.format.axis not in (None, 0, 1):
        raise node.unsupported(
            f"of scales along axis {x.format.axis}; supported: scales per tensor or per channel (axis 1)"
        )
    translate(
        builder,
        node,
        "MaxPool",
        [x],
        pool_attributes(node, x),
        keep=None if x.integer else x.format,
        codes=x.format if x.integer else None,
    )


def average_pool(builder: GraphBuilder, node: OnnxNode) -> None:
    """AveragePool of reals or of views of codes."""
    x = builder.reals(node, 0, "x")
    translate(builder, node, "AveragePool", [x], average_attributes(node, x))


def pool_attributes(node: OnnxNode, x: Operand) -> dict[str, Any]:
    """kernel, strides, dilations, pads and ceil_mode."""
    kernel = node.integers("kernel_shape")
    if kernel is None:
        raise node.malformed("attribute kernel_shape is missing")
    attributes = {
        "kernel": kernel,
        **window(node, x.shape, kernel),
        "ceil_mode": bool(node.integer("ceil_mode", 0)),
    }
    n = len(kernel)
    for i in range(2 * n):
        extent = attributes["dilations"][i % n] * (kernel[i % n] - 1) + 1
        if attributes["pads"][i] >= extent:
            raise node.malformed(f"pads {attributes['pads']} make windows that hold nothing but padding")
    return attributes


def average_attributes(node: OnnxNode, x: Operand) -> dict[str, Any]:
    """Those of a pool, and count_include_pad."""
    return {**pool_attributes(node, x), "count_include_pad": bool(node.integer("count_include_pad", 0))}


def global_average_pool(builder: GraphBuilder, node: OnnxNode) -> None:
    """GlobalAveragePool of reals or of views of codes."""
    translate(builder, node, "GlobalAveragePool", [builder.reals(node, 0, "x")])


def reduce_mean(builder: GraphBuilder, node: OnnxNode) -> None:
    """ReduceMean; without axes over all of them, or over none where noop_with_empty_axes says so."""
    x = builder.reals(node, 0, "x")
    axes = builder.integers(node, 1, "axes") or ()
    translate(builder, node, "ReduceMean", [x], reduce_attributes(node, x, axes))


def reduce_max(builder: GraphBuilder, node: OnnxNode) -> None:
    """ReduceMax of reals, of views of codes, or of codes; its axes are those of ReduceMean."""
    x = builder.operand(node, 0, "data")
    axes = builder.integers(node, 1, "axes") or ()
    move(builder, node, "ReduceMax", reduce_attributes(node, x, axes))


def reduce_attributes(node: OnnxNode, x: Operand, axes: tuple[int, ...]) -> dict[str, Any]:
    """axes, not negative and sorted, and keepdims."""
    rank = len(x.shape)
    if not axes and node.integer("noop_with_empty_axes", 0):
        raise node.unsupported("noop_with_empty_axes without axes; supported: a list of axes")
    normal = tuple(sorted(normal_axes(node, axes, rank))) if axes else tuple(range(rank))
    return {"axes": normal, "keepdims": bool(node.integer("keepdims", 1))}


OPS: Mapping[tuple[str, str], Importer] = {
    ("", "MaxPool"): max_pool,
    ("", "AveragePool"): average_pool,
    ("", "GlobalAveragePool"): global_average_pool,
    ("", "ReduceMean"): reduce_mean,
    ("", "ReduceMax"): reduce_max,
}
