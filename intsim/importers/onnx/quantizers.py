"""What QuantizeLinear and DequantizeLinear say: the Format of codes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from intsim.errors import MalformedGraph
from intsim.formats import Format
from intsim.importers.onnx.builder import GraphBuilder, raw_format
from intsim.importers.onnx.onnx_node import OnnxNode
from intsim.importers.onnx.tensors import CODE_TYPES, ELEMENT_TYPES, Array, element_type
from intsim.ops import Shape

DEFAULT_CODES = Format(8, signed=False)
"""The codes of a QuantizeLinear without zero point and output_dtype: uint8, says ONNX."""


@dataclass(frozen=True)
class Quantizer:
    """The codes that a real tensor becomes: their ONNX name and Format, and the nodes that say so.

    copies: other names of the same codes, made by other nodes of the same parameters.
    """

    name: str
    format: Format
    sources: tuple[str, ...]
    copies: tuple[Quantizer, ...] = ()


def sole_quantizer(builder: GraphBuilder, tensor: str, shape: Shape) -> Quantizer | None:
    """What the tensor is quantized to, where that is the only thing that happens to it.

    Several QuantizeLinear of the same parameters (one for each reader of the codes) count as one.
    """
    readers = builder.readers(tensor)
    if not readers or any(r.op != "QuantizeLinear" or r.inputs[0] != tensor for r in readers):
        return None
    first, *others = [quantizer_of(builder, r, shape) for r in readers]
    if any(other.format != first.format for other in others):
        return None
    builder.done.update(r.outputs[0] for r in readers)
    return replace(first, copies=tuple(others))


def quantizer_of(builder: GraphBuilder, node: OnnxNode, shape: Shape) -> Quantizer:
    """The codes that a QuantizeLinear makes; a Clip on them that is only a narrower format belongs to it."""
    format = _output_format(builder, node)
    scale, zero_point, axis = parameters_of(builder, node, shape, format)
    format = located(format, scale, zero_point, axis, node)
    clip = builder.only_reader(node.outputs[0])
    if clip is not None and clip.op == "Clip" and not clip.domain and clip.inputs[0] == node.outputs[0]:
        narrower = narrowed(format, *clip_bounds(builder, clip, format))
        if narrower is not None:
            builder.done.add(clip.outputs[0])
            return Quantizer(clip.outputs[0], narrower, (node.name, clip.name))
    return Quantizer(node.outputs[0], format, (node.name,))


def clip_bounds(builder: GraphBuilder, clip: OnnxNode, format: Format) -> tuple[int, int]:
    """The bounds, in codes, of a Clip on an integer tensor, within the format."""
    low, high = builder.real(clip, 1, "min"), builder.real(clip, 2, "max")
    lowest = format.low if low is None else max(int(low), format.low)
    return lowest, format.high if high is None else min(int(high), format.high)


def narrowed(format: Format, low: int, high: int) -> Format | None:
    """The format of fewer bits, or narrow, whose codes are low … high and that has the zero points; else None."""
    if any(not low <= z <= high for z in format.zero_point):
        return None
    for bits in range(1, format.bits + 1):
        for narrow in (False, True) if format.signed and bits > 1 else (False,):
            if (low, high) == _code_range(bits, format.signed, narrow):
                return replace(format, bits=bits, narrow=narrow)
    return None


def _code_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    bare = Format(bits, signed, narrow)
    return bare.low, bare.high


def _output_format(builder: GraphBuilder, node: OnnxNode) -> Format:
    """The bits and sign of a QuantizeLinear's codes: its zero point's type, or output_dtype, or uint8."""
    zero_point = builder.optional(node, 2)
    if zero_point is not None:
        format = zero_point.format
        if format is None or not zero_point.integer:
            raise node.malformed(f"zero point {node.inputs[2]!r} must be of one of the types {CODE_TYPES}")
        return Format(format.bits, format.signed)
    number = node.integer("output_dtype", 0)
    if number == 0:
        return DEFAULT_CODES
    if number in ELEMENT_TYPES:
        format = raw_format(ELEMENT_TYPES[number])
        if format is not None:
            return format
    kind = element_type(number, node.where)
    raise node.unsupported(f"output_dtype {kind.name} is not supported; supported: {CODE_TYPES}")


def parameters_of(
    builder: GraphBuilder, node: OnnxNode, shape: Shape, format: Format
) -> tuple[Array, Array, int | None]:
    """scale, zero point and axis (None: per tensor) of a QuantizeLinear or DequantizeLinear on that shape."""
    if node.integer("block_size", 0) != 0:
        raise node.unsupported("block_size is not supported; supported: one scale per tensor or per channel")
    if builder.optional(node, 1) is None:
        raise node.malformed("input 1 (scale) is missing")
    scale = builder.known(node, 1, "scale")
    assert scale is not None
    given = builder.optional(node, 2)
    zero_point = builder.known(node, 2, "zero point")
    kind = given.format if given is not None else None
    # Codes that a Clip made narrower keep the type of the tensor, and of its zero point.
    if kind is not None and (kind.bits < format.bits or kind.signed != format.signed):
        raise node.malformed(f"zero point {node.inputs[2]!r} and codes must be of the same type")
    axis = None
    if scale.ndim:
        if scale.ndim > 1:
            raise node.unsupported(
                f"scale of rank {scale.ndim} is not supported; supported: one scale per tensor or per channel"
            )
        axis = node.integer("axis", 1)
        if scale.size > 1 and not -len(shape) <= axis < len(shape):
            raise node.malformed(f"axis {axis} is outside a tensor of rank {len(shape)}")
        if scale.size > 1 and isinstance(shape[axis], int) and shape[axis] != scale.size:
            raise node.malformed(f"{scale.size} scales for axis {axis} of length {shape[axis]}")
        axis = axis % len(shape) if shape and scale.size > 1 else None
    if zero_point is None:
        zero_point = np.zeros(scale.shape, np.int64)
    elif zero_point.size != scale.size:
        raise node.malformed(f"{zero_point.size} zero points for {scale.size} scales")
    return scale, zero_point, axis


def located(format: Format, scale: Array, zero_point: Array, axis: int | None, node: OnnxNode) -> Format:
    """The format with this scale and zero point. Errors: MalformedGraph names the node when they are not possible."""
    if scale.dtype.kind != "f" or not scale.size:
        raise node.malformed(f"scale must be one or more floats, not {scale.dtype}{list(scale.shape)}")
    if zero_point.dtype.kind not in "iu":
        raise node.malformed(f"zero point must be of integers, not {zero_point.dtype}")
    with np.errstate(over="ignore"):
        single = scale.astype(np.float32)
    try:
        return replace(
            format,
            scale=tuple(float(s) for s in single.reshape(-1)),
            zero_point=tuple(int(z) for z in zero_point.reshape(-1)),
            axis=axis,
        )
    except MalformedGraph as error:
        raise node.malformed(str(error)) from None
