"""The ops of a Graph: name, arity, the rule that gives the output shapes, and the traits that say what an op is.

Every set of op names elsewhere comes from the traits here, or states a fact about someone else's software.
A length is an int, or unknown: None, or a str that names it (two lengths of the same name are equal).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.errors import MalformedGraph
from intsim.graph import Graph, Node

Length = int | str | None
Shape = tuple[Length, ...]
Shapes = tuple[Shape, ...]
Rule = Callable[[Mapping[str, Any], Shapes], Shapes]


class ShapeMismatch(Exception):
    """Input shapes that do not fit an op; the caller adds the node and the shapes."""


@dataclass(frozen=True)
class Op:
    """One op: its name, how many inputs it takes (most: None for any number), its shape rule, and its traits.

    macs: sums products of its first two operands. means: divides a sum of elements by their number.
    combines: brings several operands to one format, element by element or one after the other.
    maps: a function of one element, the same for all elements (of a channel).
    moves: each output element is an input element, or a constant; its place alone says which.
    rearranges: moves, and no input element comes twice; only order and shape change.
    selects: moves, but the elements themselves say which one comes: the largest.
    clamps: limits each element to a range. converts: from reals to codes, back, or from format to format.
    internal: acts on codes, and ONNX has no op of that name.
    An op without any trait has no integer form: a float island, or the tail.
    """

    name: str
    least: int
    most: int | None
    rule: Rule
    macs: bool = False
    means: bool = False
    combines: bool = False
    maps: bool = False
    moves: bool = False
    rearranges: bool = False
    selects: bool = False
    clamps: bool = False
    converts: bool = False
    internal: bool = False


def output_shapes(op: str, attributes: Mapping[str, Any], shapes: Sequence[Shape], node: str) -> Shapes:
    """The output shapes of one op. shapes: of its inputs, absent optional ones left out.

    Errors: MalformedGraph names the node, the shapes and what does not fit.
    """
    declared = OPS[op]
    if len(shapes) < declared.least or (declared.most is not None and len(shapes) > declared.most):
        most = "or more" if declared.most is None else f"to {declared.most}"
        raise MalformedGraph(f"node {node!r} ({op}): takes {declared.least} {most} inputs, not {len(shapes)}")
    try:
        return declared.rule(attributes, tuple(shapes))
    except ShapeMismatch as error:
        given = ", ".join(spelled(s) for s in shapes)
        raise MalformedGraph(f"node {node!r} ({op}) with input shapes {given}: {error}") from None


def mixing_node(graph: Graph) -> str | None:
    """The first node that computes across the images of a batch whose length is open; None where images stay apart.

    A network with one gives other results for a part of its images. Images stay apart where the first length of each
    computed tensor is open, too, and no node works along the first axis.
    """
    computed = {name for name in graph.inputs if graph.values[name].shape[:1] == (None,)}
    for node in graph.nodes:
        if not computed.intersection(node.inputs):
            continue
        made = [graph.values[name] for name in node.outputs if name in graph.values]
        fixed = any(value.shape[:1] != (None,) for value in made)
        if fixed or _works_along_images(graph, node, computed):
            return node.name
        computed.update(node.outputs)
    return None


def _works_along_images(graph: Graph, node: Node, computed: Collection[str]) -> bool:
    """Whether a node works along the first axis, as its attributes and the shapes of what it reads say.

    Operands of fewer axes than the result, which broadcast, and a matrix of images as a second factor are such cases.
    A Reshape keeps images apart where it cuts or joins the elements of each.
    """
    a = node.attributes
    shapes = {name: graph.values[name].shape for name in (*node.inputs, *node.outputs) if name in graph.values}
    ranks = {len(shapes[name]) for name in node.inputs if name in computed and name in shapes}
    result = [shapes[name] for name in node.outputs if name in shapes]
    broadcasts = node.op in COMBINES - {"Concat"} or node.op in (*MACS, "Div", "Min", "Max", "PRelu")
    if broadcasts and result and ranks - {len(result[0])}:
        return True
    if node.op in MACS:
        return any(name in computed and len(shapes.get(name, ())) < 3 for name in node.inputs[1:2])
    if node.op == "Reshape" and result and node.inputs[0] in shapes:
        before, after = (
            math.prod(n for n in shape[1:] if n is not None) for shape in (shapes[node.inputs[0]], result[0])
        )
        return None not in (*shapes[node.inputs[0]][1:], *result[0][1:]) and (not after or before % after != 0)
    axes = [*a.get("axes", ()), *([a["axis"]] if "axis" in a and node.op != "Flatten" else [])]
    pads = a.get("pads", ()) if node.op == "Pad" else ()
    return (
        0 in axes
        or tuple(a.get("perm", (0,)))[:1] != (0,)
        or any(pads[:: max(len(pads) // 2, 1)][:2])
        or (a.get("scales") or (1,))[0] != 1
    )


def spelled(shape: Sequence[Length]) -> str:
    """A shape for messages: `1x3x?x?`, or `scalar`."""
    return "x".join(str(n) if isinstance(n, int) else "?" for n in shape) or "scalar"


def same(x: Length, y: Length) -> bool:
    """Whether two lengths are known to be equal."""
    return x is not None and x == y


def merge(x: Length, y: Length, what: str) -> Length:
    """The length that is both x and y; ShapeMismatch when both are known and differ."""
    if isinstance(x, int) and isinstance(y, int) and x != y:
        raise ShapeMismatch(f"{what}: {x} is not {y}")
    return x if isinstance(x, int) or not isinstance(y, int) else y


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape of an elementwise result by NumPy's rules."""
    rank = max(len(s) for s in shapes)
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    return tuple(_broadcast_length(lengths) for lengths in zip(*padded, strict=True))


def _broadcast_length(lengths: Sequence[Length]) -> Length:
    fixed = {n for n in lengths if isinstance(n, int) and n != 1}
    if len(fixed) > 1:
        raise ShapeMismatch(f"lengths {' and '.join(str(n) for n in sorted(fixed))} do not broadcast")
    if fixed:
        return fixed.pop()
    unknown = [n for n in lengths if not isinstance(n, int)]
    if not unknown:
        return 1
    return unknown[0] if all(same(n, unknown[0]) for n in unknown) else None


def window_length(
    length: Length, kernel: int, stride: int, dilation: int, begin: int, end: int, ceil_mode: bool = False
) -> Length:
    """How many windows fit: floor or ceil of (length + pads - extent) / stride, + 1.

    With ceil_mode a last window that starts in the padding after the data is dropped (as ONNX says).
    """
    if not isinstance(length, int):
        return None
    extent = dilation * (kernel - 1) + 1
    span = length + begin + end - extent
    if span < 0:
        raise ShapeMismatch(f"a window of {extent} does not fit into {length} + {begin} + {end} of padding")
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    return count - 1 if (count - 1) * stride >= length + begin else count


def _windows(attributes: Mapping[str, Any], spatial: Shape, kernel: Sequence[int]) -> Shape:
    pads, n = attributes["pads"], len(spatial)
    if not len(kernel) == len(attributes["strides"]) == len(attributes["dilations"]) == len(pads) // 2 == n:
        raise ShapeMismatch(f"kernel, strides, dilations and pads must be given for {n} axes")
    ceil_mode = bool(attributes.get("ceil_mode", False))
    return tuple(
        window_length(
            spatial[i],
            kernel[i],
            attributes["strides"][i],
            attributes["dilations"][i],
            pads[i],
            pads[n + i],
            ceil_mode,
        )
        for i in range(n)
    )


def _conv(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, w = shapes[:2]
    if len(x) < 3 or len(w) != len(x):
        raise ShapeMismatch(f"x and w must have the same rank of 3 or more, not {len(x)} and {len(w)}")
    if not all(isinstance(n, int) for n in w):
        raise ShapeMismatch("the shape of w must be known")
    groups = attributes["groups"]
    kernel = [int(n) for n in w[2:] if n is not None]
    filters, depth = int(w[0] or 0), int(w[1] or 0)
    merge(x[1], depth * groups, "channels of x, channels of w times groups")
    if filters % groups:
        raise ShapeMismatch(f"{filters} filters cannot be split into {groups} groups")
    if len(shapes) > 2:
        if len(shapes[2]) != 1:
            raise ShapeMismatch(f"the bias must have rank 1, not {len(shapes[2])}")
        merge(shapes[2][0], filters, "length of the bias, number of filters")
    return ((x[0], filters, *_windows(attributes, x[2:], kernel)),)


def _matmul(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    a, b = shapes
    if not a or not b:
        raise ShapeMismatch("a and b must have rank 1 or more")
    inner = b[0] if len(b) == 1 else b[-2]
    merge(a[-1], inner, "columns of a, rows of b")
    batch = broadcast([a[:-2], b[:-2]])
    rows = a[-2:-1]
    columns = b[-1:] if len(b) > 1 else ()
    return ((*batch, *rows, *columns),)


def _gemm(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    a, b = shapes[:2]
    if len(a) != 2 or len(b) != 2:
        raise ShapeMismatch(f"a and b must have rank 2, not {len(a)} and {len(b)}")
    merge(a[1], b[0], "columns of a, rows of b")
    result = (a[0], b[1])
    if len(shapes) > 2:
        c = broadcast([result, shapes[2]])
        if len(c) != 2 or any(
            isinstance(n, int) and isinstance(m, int) and n != m for n, m in zip(c, result, strict=True)
        ):
            raise ShapeMismatch(f"c of shape {spelled(shapes[2])} does not broadcast to {spelled(result)}")
    return (result,)


def _elementwise(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    return (broadcast(shapes),)


def _unary(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    return (shapes[0],)


def _prelu(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, slope = shapes
    result = broadcast([x, slope])
    if len(result) != len(x) or any(
        isinstance(n, int) and isinstance(m, int) and n != m for n, m in zip(x, result, strict=True)
    ):
        raise ShapeMismatch(f"slope of shape {spelled(slope)} does not broadcast to x")
    return (x,)


def axis_within(axis: int, rank: int, *, last: int = 1) -> int:
    """The axis as a non-negative number below rank (or up to it, with last=0); ShapeMismatch outside."""
    if not -rank <= axis <= rank - last:
        raise ShapeMismatch(f"axis {axis} is outside a tensor of rank {rank}")
    return axis + rank if axis < 0 else axis


def _softmax(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    axis_within(attributes["axis"], len(shapes[0]))
    return (shapes[0],)


def _concat(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    rank = len(shapes[0])
    if any(len(s) != rank for s in shapes):
        raise ShapeMismatch(f"all inputs must have rank {rank}")
    axis = axis_within(attributes["axis"], rank)
    result: list[Length] = list(shapes[0])
    for i in range(rank):
        lengths = [s[i] for s in shapes]
        if i == axis:
            known = [n for n in lengths if isinstance(n, int)]
            result[i] = sum(known) if len(known) == len(lengths) else (lengths[0] if len(lengths) == 1 else None)
        else:
            for n in lengths[1:]:
                result[i] = merge(result[i], n, f"lengths along axis {i}")
    return (tuple(result),)


def _pool(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    if len(x) < 3:
        raise ShapeMismatch(f"x must have rank 3 or more, not {len(x)}")
    return ((x[0], x[1], *_windows(attributes, x[2:], attributes["kernel"])),)


def _global_pool(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    if len(x) < 3:
        raise ShapeMismatch(f"x must have rank 3 or more, not {len(x)}")
    return ((x[0], x[1], *[1] * (len(x) - 2)),)


def _reduce(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    axes = _distinct_axes(attributes["axes"], len(x))
    if attributes["keepdims"]:
        return (tuple(1 if i in axes else n for i, n in enumerate(x)),)
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def _distinct_axes(axes: Sequence[int], rank: int) -> list[int]:
    result = [axis_within(a, rank) for a in axes]
    if len(set(result)) != len(result):
        raise ShapeMismatch(f"axes {tuple(axes)} repeat one")
    return result


def product(lengths: Sequence[Length]) -> Length:
    """The product of lengths; None when one is unknown (unless all others are 1)."""
    known = math.prod(n for n in lengths if isinstance(n, int))
    unknown = [n for n in lengths if not isinstance(n, int)]
    if not unknown or known == 0:
        return known
    return unknown[0] if len(unknown) == 1 and known == 1 else None


def _flatten(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    axis = axis_within(attributes["axis"], len(x), last=0)
    return ((product(x[:axis]), product(x[axis:])),)


def _reshape(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, target = shapes[0], list(attributes["shape"])
    if target.count(-1) > 1:
        raise ShapeMismatch(f"shape {tuple(target)} has more than one -1")
    for i, n in enumerate(target):
        if isinstance(n, int) and n < -1:
            raise ShapeMismatch(f"shape {tuple(target)} has a negative length")
        if n == 0:
            if i >= len(x):
                raise ShapeMismatch(f"shape {tuple(target)} copies axis {i}, which x does not have")
            target[i] = x[i]
    # What names the same unknown length on both sides cancels; the rest must multiply to the same size.
    names_in = Counter(n for n in x if not isinstance(n, int))
    names_out = Counter(n for n in target if not isinstance(n, int))
    # A nameless unknown is copied only by a 0, which both sides count.
    rest_in, rest_out = names_in - names_out, names_out - names_in
    size_in = math.prod(n for n in x if isinstance(n, int))
    size_out = math.prod(n for n in target if isinstance(n, int) and n != -1)
    if rest_in or rest_out:
        if -1 in target:
            alone = list(rest_in.elements()) if not rest_out else []
            guess = alone[0] if len(alone) == 1 and size_in == size_out else None
            target[target.index(-1)] = guess
        return (tuple(target),)
    if -1 in target:
        if size_out == 0 or size_in % size_out:
            raise ShapeMismatch(f"cannot be reshaped to {tuple(attributes['shape'])}")
        target[target.index(-1)] = size_in // size_out
    elif size_in != size_out:
        raise ShapeMismatch(f"cannot be reshaped to {tuple(attributes['shape'])}")
    return (tuple(target),)


def _transpose(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, perm = shapes[0], attributes["perm"]
    if sorted(perm) != list(range(len(x))):
        raise ShapeMismatch(f"perm {tuple(perm)} is not a permutation of {len(x)} axes")
    return (tuple(x[i] for i in perm),)


def _squeeze(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    axes = _distinct_axes(attributes["axes"], len(x))
    for axis in axes:
        merge(x[axis], 1, f"length of axis {axis}, which is squeezed")
    return (tuple(n for i, n in enumerate(x) if i not in axes),)


def _unsqueeze(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    rank = len(x) + len(attributes["axes"])
    axes = _distinct_axes(attributes["axes"], rank)
    rest = iter(x)
    return (tuple(1 if i in axes else next(rest) for i in range(rank)),)


def _slice(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    result: list[Length] = list(x)
    starts, ends, steps = attributes["starts"], attributes["ends"], attributes["steps"]
    axes = _distinct_axes(attributes["axes"], len(x))
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ShapeMismatch("starts, ends, axes and steps must have the same length")
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step == 0:
            raise ShapeMismatch("a step is zero")
        length = x[axis]
        result[axis] = len(range(*slice_bounds(start, end, step, length))) if isinstance(length, int) else None
    return (tuple(result),)


def slice_bounds(start: int, end: int, step: int, length: int) -> tuple[int, int, int]:
    """The (start, end, step) of a `range` over the taken indices: ONNX's clamps are those of NumPy's slices."""
    start = start + length if start < 0 else start
    end = end + length if end < 0 else end
    if step > 0:
        return min(max(start, 0), length), min(max(end, 0), length), step
    return min(max(start, 0), length - 1), min(max(end, -1), length - 1), step


def _split(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, sizes = shapes[0], attributes["sizes"]
    axis = axis_within(attributes["axis"], len(x))
    if any(n < 0 for n in sizes):
        raise ShapeMismatch(f"sizes {tuple(sizes)} has a negative length")
    merge(x[axis], sum(sizes), f"length of axis {axis}, sum of the sizes")
    return tuple((*x[:axis], n, *x[axis + 1 :]) for n in sizes)


def _depth_to_space(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, block = shapes[0], attributes["blocksize"]
    if len(x) != 4:
        raise ShapeMismatch(f"x must have rank 4, not {len(x)}")
    if block < 1 or (isinstance(x[1], int) and x[1] % (block * block)):
        raise ShapeMismatch(f"{x[1]} channels cannot be made into blocks of {block} x {block}")
    channels = x[1] // (block * block) if isinstance(x[1], int) else None
    return ((x[0], channels, *(n * block if isinstance(n, int) else None for n in x[2:])),)


def _pad(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, pads = shapes[0], attributes["pads"]
    if len(pads) != 2 * len(x):
        raise ShapeMismatch(f"pads must have {2 * len(x)} numbers, not {len(pads)}")
    if any(n < 0 for n in pads):
        raise ShapeMismatch(f"pads {tuple(pads)} has a negative number")
    pairs = list(zip(pads[: len(x)], pads[len(x) :], strict=True))
    for n, (begin, end) in zip(x, pairs, strict=True):
        if attributes["mode"] == "reflect" and isinstance(n, int) and max(begin, end) >= n:
            raise ShapeMismatch(f"cannot reflect {max(begin, end)} elements of an axis of {n}")
    grown: list[Length] = [
        n + begin + end if isinstance(n, int) else (n if begin == end == 0 else None)
        for n, (begin, end) in zip(x, pairs, strict=True)
    ]
    return (tuple(grown),)


def _resize(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x, sizes, scales = shapes[0], attributes.get("sizes"), attributes.get("scales")
    given = sizes if sizes is not None else scales
    if given is None or len(given) != len(x):
        raise ShapeMismatch(f"sizes or scales must have {len(x)} numbers")
    if sizes is not None:
        # 0 keeps the length of x: so the batch can be unknown.
        return (tuple(n if size == 0 else int(size) for n, size in zip(x, sizes, strict=True)),)
    # ONNX multiplies in float32.
    return (tuple(_scaled(n, float(s)) for n, s in zip(x, scales or (), strict=True)),)


def _scaled(length: Length, scale: float) -> Length:
    if scale == 1.0:
        return length
    if not isinstance(length, int):
        return None
    result = float(np.float32(length) * np.float32(scale))
    if not math.isfinite(result) or result < 0:
        raise ShapeMismatch(f"scale {scale!r} must be positive and finite")
    return math.floor(result)


def _batch_normalization(attributes: Mapping[str, Any], shapes: Shapes) -> Shapes:
    x = shapes[0]
    if len(x) < 2:
        raise ShapeMismatch(f"x must have rank 2 or more, not {len(x)}")
    for parameter in shapes[1:]:
        if len(parameter) != 1:
            raise ShapeMismatch(f"a parameter must have rank 1, not {len(parameter)}")
        merge(parameter[0], x[1], "length of a parameter, channels of x")
    return (x,)


OPS: Mapping[str, Op] = {
    op.name: op
    for op in (
        Op("Conv", 2, 3, _conv, macs=True),
        Op("MatMul", 2, 2, _matmul, macs=True),
        Op("Gemm", 2, 3, _gemm, macs=True),
        Op("Add", 2, 2, _elementwise, combines=True),
        Op("Sub", 2, 2, _elementwise, combines=True),
        Op("Mul", 2, 2, _elementwise, combines=True),
        Op("Div", 2, 2, _elementwise),
        Op("Min", 2, 2, _elementwise),
        Op("Max", 2, 2, _elementwise),
        Op("Concat", 1, None, _concat, combines=True),
        Op("Relu", 1, 1, _unary, clamps=True),
        Op("Clip", 1, 1, _unary, clamps=True),
        Op("CodeClip", 1, 1, _unary, clamps=True, internal=True),
        Op("LeakyRelu", 1, 1, _unary, maps=True),
        Op("PRelu", 2, 2, _prelu, maps=True),
        Op("Sigmoid", 1, 1, _unary, maps=True),
        Op("Tanh", 1, 1, _unary, maps=True),
        Op("HardSigmoid", 1, 1, _unary, maps=True),
        Op("HardSwish", 1, 1, _unary, maps=True),
        Op("MaxPool", 1, 1, _pool, selects=True),
        Op("AveragePool", 1, 1, _pool, means=True),
        Op("GlobalAveragePool", 1, 1, _global_pool, means=True),
        Op("ReduceMean", 1, 1, _reduce, means=True),
        Op("ReduceMax", 1, 1, _reduce, selects=True),
        Op("Flatten", 1, 1, _flatten, rearranges=True),
        Op("Reshape", 1, 1, _reshape, rearranges=True),
        Op("Transpose", 1, 1, _transpose, rearranges=True),
        Op("Squeeze", 1, 1, _squeeze, rearranges=True),
        Op("Unsqueeze", 1, 1, _unsqueeze, rearranges=True),
        Op("Slice", 1, 1, _slice, rearranges=True),
        Op("Split", 1, 1, _split, rearranges=True),
        Op("DepthToSpace", 1, 1, _depth_to_space, rearranges=True),
        Op("Pad", 1, 1, _pad, moves=True),
        Op("Resize", 1, 1, _resize, moves=True),
        Op("BatchNormalization", 5, 5, _batch_normalization),
        Op("Softmax", 1, 1, _softmax),
        Op("QuantizeLinear", 1, 1, _unary, converts=True),
        Op("DequantizeLinear", 1, 1, _unary, converts=True),
        Op("Requantize", 1, 1, _unary, converts=True, internal=True),
        Op("Reinterpret", 1, 1, _unary, converts=True, internal=True),
    )
}
"""Every op that a Graph may hold, by name."""


def _with(trait: str) -> frozenset[str]:
    return frozenset(op.name for op in OPS.values() if getattr(op, trait))


MACS = _with("macs")
MEANS = _with("means")
COMBINES = _with("combines")
MAPS = _with("maps")
REARRANGES = _with("rearranges")
SELECTS = _with("selects")
MOVES = _with("moves") | REARRANGES | SELECTS
CONVERTS = _with("converts")
INTERNAL = _with("internal")
CLAMPS = _with("clamps") - INTERNAL
"""The names of the ops with each trait; of the clamps those of reals."""

REQUANTIZES = MACS | MEANS | COMBINES
"""Ops that make new numbers, which are rounded to the output's format: a clamp of their output codes can follow."""

KEEPS_FORMAT = MOVES | _with("clamps")
"""Ops whose output has the format of their input, and takes its new one where a setting changes it."""
