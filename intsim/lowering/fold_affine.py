"""Constants that scale and shift a sum, channel by channel, before it is quantized, go into its weights and bias.

Conv -> Div -> BatchNormalization -> QuantizeLinear, as PyTorch exports a convolution that was trained with its batch
norm, or MatMul -> Add -> QuantizeLinear, is one layer of an integer machine:

    A[c] * (sum(x * w) + b)[c] + B[c] = sum(x * (A w))[c] + (A b + B)[c]

The codes of the weights stay; their scale becomes A[c] * w_scale (rounded to float32), and the bias is the real
A b + B, which the target quantizes as any real bias. A negative A[c] negates the codes around their zero point,
A[c] = 0 sets them to it. An A[c] within UNIT of 1 is 1: there BatchNormalization multiplies by what Div has divided by,
and only float32's rounding is between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.ops import CLAMPS, MACS
from intsim.target import Target

Array = np.ndarray[Any, Any]

UNIT = 2.0**-20
FOLDED = "folded"
"""The attribute of a layer that something was folded into: the ops, in order."""


@dataclass(frozen=True)
class Affine:
    """y = factor * sum + shift, float64[channels], and the nodes that say so; output: the tensor that is y."""

    factor: Array
    shift: Array
    output: str
    nodes: tuple[Node, ...] = ()


def fold_affine(graph: Graph, target: Target) -> Graph:
    """The graph without what scales and shifts a sum before it is quantized, where the target has no float islands.

    What cannot be folded stays, and the target then refuses it by name.
    """
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    values, constants = dict(graph.values), dict(graph.constants)
    nodes: dict[str, Node] = {node.name: node for node in graph.nodes}
    for head in graph.nodes:
        if head.op not in MACS or target.at(head.name).float_islands:
            continue
        affine = _affine_after(graph, head, readers)
        folded = None if affine is None else _folded(graph, head, affine, values, constants)
        if affine is None or folded is None:
            continue
        nodes[head.name] = folded
        for node in affine.nodes:
            del nodes[node.name]
    if len(nodes) == len(graph.nodes):
        return graph
    return replace(graph, nodes=tuple(nodes.values()), values=values, constants=constants)


def _affine_after(graph: Graph, head: Node, readers: dict[str, list[Node]]) -> Affine | None:
    """What scales and shifts the head's sum before it is quantized; None where nothing does, or it never is."""
    weights = graph.constants.get(head.inputs[1])
    if weights is None or (head.op != "Conv" and weights.ndim != 2):
        return None
    channels = weights.shape[0 if head.op == "Conv" else 1]
    affine = Affine(np.ones(channels), np.zeros(channels), head.outputs[0])
    while (reader := _sole_reader(graph, affine.output, readers)) is not None:
        further = _step(graph, head, affine, reader)
        if further is None:
            break
        affine = further
    output = affine.output
    while (reader := _sole_reader(graph, output, readers)) is not None and reader.op in CLAMPS:
        output = reader.outputs[0]
    return affine if affine.nodes and graph.format(output) is not None else None


def _sole_reader(graph: Graph, name: str, readers: dict[str, list[Node]]) -> Node | None:
    """The one node that reads a real tensor, which is no output of the graph."""
    found = readers.get(name, [])
    return found[0] if len(found) == 1 and name not in graph.outputs and graph.format(name) is None else None


def _step(graph: Graph, head: Node, affine: Affine, node: Node) -> Affine | None:
    """The affine map with one more node; None where that node is no such map, or not by constants of a channel."""
    rank = len(graph.values[affine.output].shape)
    axis, channels = 1 if head.op == "Conv" else rank - 1, affine.factor.size
    if node.op == "BatchNormalization":
        if axis != 1:
            return None
        gamma, beta, mean, variance = (_reals(graph, name) for name in node.inputs[1:5])
        if gamma is None or beta is None or mean is None or variance is None:
            return None
        factor = gamma / np.sqrt(variance + node.attributes["epsilon"])
        factor, shift = affine.factor * factor, (affine.shift - mean) * factor + beta
    elif node.op in ("Add", "Sub", "Mul", "Div"):
        first = node.inputs[0] == affine.output
        constant = _of_channels(_reals(graph, node.inputs[1 if first else 0]), rank, axis, channels)
        if constant is None or (node.op == "Div" and not (first and constant.all())):
            return None
        factor, shift = _combined(node.op, affine, constant, first)
    else:
        return None
    if not (np.isfinite(factor).all() and np.isfinite(shift).all()):
        return None
    return Affine(factor, shift, node.outputs[0], (*affine.nodes, node))


def _combined(op: str, affine: Affine, constant: Array, first: bool) -> tuple[Array, Array]:
    """Factor and shift of Add, Sub, Mul or Div with a constant. first: the sum is the first operand."""
    match op:
        case "Mul":
            return affine.factor * constant, affine.shift * constant
        case "Div":
            return affine.factor / constant, affine.shift / constant
        case "Add":
            return affine.factor, affine.shift + constant
    return (affine.factor, affine.shift - constant) if first else (-affine.factor, constant - affine.shift)


def _reals(graph: Graph, name: str) -> Array | None:
    """A constant's reals in float64, None where it is none."""
    constant, format = graph.constants.get(name), graph.format(name)
    if constant is None:
        return None
    return np.asarray(constant if format is None else format.real(constant), np.float64)


def _of_channels(constant: Array | None, rank: int, axis: int, channels: int) -> Array | None:
    """The constant as float64[channels] where it broadcasts to nothing but channels."""
    if constant is None or constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if any(n != 1 for i, n in enumerate(shape) if i != axis) or shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(constant.reshape(-1), (channels,))


def _folded(
    graph: Graph, head: Node, affine: Affine, values: dict[str, Value], constants: dict[str, Array]
) -> Node | None:
    """The layer with the map in its weights and bias, which are added to values and constants; None: not possible."""
    bias = _real_bias(graph, head, affine.factor.size)
    factor = np.where(np.abs(affine.factor - 1) <= UNIT, 1.0, affine.factor)
    weights = _weights(graph, head, factor)
    if bias is None or weights is None:
        return None
    names = []
    for what, source, (array, format) in (
        ("weights", head.inputs[1], weights),
        ("bias", "", ((factor * bias + affine.shift).astype(np.float32), None)),
    ):
        if source and array is graph.constants[source]:
            names.append(source)
            continue
        name = f"{head.name}#{what}"
        values[name] = Value(name, array.shape, format)
        array.flags.writeable = False
        constants[name] = array
        names.append(name)
    attributes: dict[str, Any] = {k: v for k, v in head.attributes.items() if k != "aligned_bias"}
    if "beta" in attributes:
        attributes["beta"] = 1.0  # it is in the bias
    attributes[FOLDED] = tuple(node.op for node in affine.nodes)
    sources = tuple(dict.fromkeys([*head.sources, *(s for node in affine.nodes for s in node.sources)]))
    inputs = (head.inputs[0], *names)
    return replace(head, inputs=inputs, outputs=(affine.output,), attributes=attributes, sources=sources)


def _real_bias(graph: Graph, head: Node, channels: int) -> Array | None:
    """beta * bias as float64[channels], zero where there is none; None where it is no constant of that size."""
    name = head.inputs[2] if len(head.inputs) > 2 else ""
    if not name:
        return np.zeros(channels)
    reals = _reals(graph, name)
    if reals is None or reals.size not in (1, channels):
        return None
    return np.broadcast_to(reals.reshape(-1), (channels,)) * head.attributes.get("beta", 1.0)


def _weights(graph: Graph, head: Node, factor: Array) -> tuple[Array, Format] | None:
    """Codes and format of the weights times factor; None where they have no such codes."""
    name, axis = head.inputs[1], 0 if head.op == "Conv" else 1
    codes, format = graph.constants[name], graph.format(name)
    if format is None:
        return None
    if (factor == 1).all():
        return codes, format
    if format.levels is not None or format.axis not in (None, axis):
        return None
    along = [1] * codes.ndim
    along[axis] = -1
    zero, sign = format.zero_points.reshape(along if format.per_channel else ()), np.sign(factor).reshape(along)
    turned = zero + (codes.astype(np.int64) - zero) * sign.astype(np.int64)
    if turned.min() < format.low or turned.max() > format.high:
        return None
    with np.errstate(over="ignore", under="ignore"):
        scale = (format.scales * np.where(factor == 0, 1.0, np.abs(factor))).astype(np.float32)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        return None
    zeros = np.broadcast_to(format.zero_points, scale.shape)
    if (scale == scale[0]).all() and not format.per_channel:
        scale, zeros = scale[:1], zeros[:1]
    located = replace(
        format,
        scale=tuple(float(s) for s in scale),
        zero_point=tuple(int(z) for z in zeros),
        axis=axis if scale.size > 1 else None,
    )
    return turned.astype(codes.dtype), located
