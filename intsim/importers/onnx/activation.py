"""Relu, Clip, LeakyRelu, PRelu, Sigmoid, Tanh, HardSigmoid, HardSwish and Softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.axes import normal_axis
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.quantizers import clip_bounds
from intsim.importers.onnx.translate import Importer, translate


def relu(builder: GraphBuilder, node: OnnxNode) -> None:
    """Relu. On an integer tensor it is max(code, 0), whatever the zero point: that is what ONNX says."""
    x = builder.data(node, 0, "x")
    if x.integer:
        clip_codes(builder, node, x, 0, None)
        return
    # Zero is the code zero_point, so that the result still is codes of x's format.
    translate(builder, node, "Relu", [x], keep=x.format)


def clip(builder: GraphBuilder, node: OnnxNode) -> None:
    """Clip, its bounds as attributes. On an integer tensor the bounds are codes."""
    x = builder.data(node, 0, "x")
    if x.integer:
        assert x.format is not None
        low, high = clip_bounds(builder, node, x.format)
        clip_codes(builder, node, x, low, high)
        return
    attributes = {
        name: value
        for name, index in (("min", 1), ("max", 2))
        if (value := _bound(builder, node, name, index)) is not None
    }
    keeps = x.format is not None and all(_on_grid(name, bound, x.format) for name, bound in attributes.items())
    translate(builder, node, "Clip", [x], attributes, keep=x.format if keeps else None)


def _bound(builder: GraphBuilder, node: OnnxNode, name: str, index: int) -> float | None:
    """One bound of a Clip: an attribute before opset 11, an input since."""
    if name in node.attributes:
        value: float | None = node.real(name, 0.0, infinite=True)
    else:
        value = builder.real(node, index, name, infinite=True)
    if value is None or value == (-np.inf if name == "min" else np.inf):
        return None
    return node.checked_real(value, name)


def _on_grid(name: str, bound: float, format: Format) -> bool:
    """Whether clipping at the bound leaves reals of the format: it is one of them, or clips none of them."""
    if format.per_channel:
        return False
    ends = format.real(np.array([format.low, format.high]))
    if bound <= ends[0] if name == "min" else bound >= ends[1]:
        return True
    if not ends[0] <= bound <= ends[1]:
        return False
    code = round(bound / format.scale[0]) + format.zero_point[0]
    return bool(format.real(np.array([code]))[0] == np.float32(bound))


def clip_codes(builder: GraphBuilder, node: OnnxNode, x: Operand, low: int | None, high: int | None) -> None:
    """CodeClip: the codes of an integer tensor within low … high."""
    assert x.format is not None
    lowest = x.format.low if low is None else max(low, x.format.low)
    highest = x.format.high if high is None else min(high, x.format.high)
    if lowest > highest:
        raise node.unsupported(f"min {lowest} is above max {highest}")
    if x.constant is not None:
        clipped = np.clip(x.constant, lowest, highest).astype(x.constant.dtype)
        builder.set_constant(node.outputs[0], clipped, x.format, integer=True)
        return
    translate(builder, node, "CodeClip", [x], {"low": lowest, "high": highest}, codes=x.format)


def prelu(builder: GraphBuilder, node: OnnxNode) -> None:
    """PRelu: the slope is a real constant."""
    x, slope = builder.reals(node, 0, "x"), real_constant(builder, node, 1, "slope")
    translate(builder, node, "PRelu", [x, slope])


def real_constant(builder: GraphBuilder, node: OnnxNode, index: int, what: str) -> Operand:
    """A constant input as reals: one that is quantized in the file is dequantized."""
    operand, values = builder.reals(node, index, what), builder.known(node, index, what)
    assert values is not None
    name = operand.name if operand.format is None else node.inputs[index]
    return replace(operand, name=name, format=None, constant=values)


def unary(builder: GraphBuilder, node: OnnxNode) -> None:
    """An op of one input; its float attributes are written out."""
    defaults = FLOAT_ATTRIBUTES.get(node.op, {})
    attributes = {name: node.real(name, default) for name, default in defaults.items()}
    translate(builder, node, node.op, [builder.reals(node, 0, "x")], attributes)


FLOAT_ATTRIBUTES: Mapping[str, Mapping[str, float]] = {
    "LeakyRelu": {"alpha": 0.01},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
}
"""Op -> its float attributes and their defaults in ONNX."""


def softmax(builder: GraphBuilder, node: OnnxNode) -> None:
    """Softmax along one axis."""
    x = builder.reals(node, 0, "x")
    translate(
        builder, node, "Softmax", [x], softmax_attributes(node, x, builder.opset, -1 if builder.opset >= 13 else 1)
    )


def softmax_attributes(node: OnnxNode, x: Operand, opset: int, default: int) -> dict[str, int]:
    """The axis. Before opset 13 all axes from it on were one: refused unless it is the last one."""
    axis = normal_axis(node, node.integer("axis", default), len(x.shape))
    if opset < 13 and any(n != 1 for n in x.shape[axis + 1 :]):
        raise node.unsupported(f"axis {axis} in opset {opset} joins axes; supported: the last axis")
    return {"axis": axis}


OPS: Mapping[tuple[str, str], Importer] = {
    ("", "Relu"): relu,
    ("", "Clip"): clip,
    ("", "PRelu"): prelu,
    ("", "Softmax"): softmax,
    **{("", op): unary for op in ("LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish")},
}
