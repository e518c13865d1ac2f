"""The bias of a Conv or Gemm whose file says how it came about (node metadata `intsim.bias`).

`intsim quantize` writes the aligned bias B = b << (e_b - e_t) as int32 codes at the scale of the products, 2**e_t,
which is what runtimes expect. The metadata gives e_b and the bits of b, so that b itself comes back.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.onnx_node import OnnxNode

METADATA = "intsim.bias"
"""The key of the metadata: JSON with bits, exponent (e_b) and headroom (L)."""


def bias_input(builder: GraphBuilder, node: OnnxNode, index: int) -> Operand | None:
    """The bias as the layer has it: b and its own format where the metadata says so, else as the file has it.

    Errors: MalformedGraph when the metadata is not such JSON, or the codes are no b << (e_b - e_t) of that width.
    """
    b = builder.reals(node, index, "bias") if builder.optional(node, index) is not None else None
    if METADATA not in node.metadata:
        return b
    bits, exponent, headroom = _entries(node)
    if b is None or b.constant is None or b.format is None or b.format.exponents is None or any(b.format.zero_point):
        raise node.malformed(f"metadata {METADATA}: the bias must be constant codes at a power of two, zero point 0")
    shifts = [exponent - e for e in b.format.exponents]
    if any(not 0 <= s <= headroom for s in shifts):
        raise node.malformed(
            f"metadata {METADATA}: exponent {exponent} is not within 0 to {headroom} above {min(b.format.exponents)}"
        )
    shift = np.array(shifts if b.format.per_channel else shifts[0], np.int64)
    codes = b.constant.astype(np.int64) >> shift
    format = Format(bits, True, False, (2.0**exponent,))
    fits = np.array_equal(codes, np.clip(codes, format.low, format.high))
    if not fits or not np.array_equal(codes << shift, b.constant):
        raise node.malformed(f"metadata {METADATA}: the bias {b.name!r} is not {bits}-bit codes shifted left")
    return replace(b, format=format, constant=codes.astype(format.dtype))


def bias_attributes(node: OnnxNode) -> dict[str, bool]:
    """`aligned_bias`, where the file holds b << (e_b - e_t) and the graph b: ONNX Runtime adds what the file holds."""
    return {"aligned_bias": True} if METADATA in node.metadata else {}


def _entries(node: OnnxNode) -> tuple[int, int, int]:
    """bits, exponent and headroom."""
    try:
        data = json.loads(node.metadata[METADATA])
    except (ValueError, RecursionError):
        data = None
    keys = ("bits", "exponent", "headroom")
    numbers = [n for k in keys if type(n := data.get(k)) is int] if isinstance(data, dict) else []
    if len(numbers) != len(keys):
        raise node.malformed(f"metadata {METADATA} must be JSON with the integers {', '.join(keys)}")
    bits, exponent, headroom = numbers
    if not (1 <= bits <= 32 and -126 <= exponent <= 127 and 0 <= headroom <= 48):
        raise node.malformed(
            f"metadata {METADATA}: bits {bits}, exponent {exponent}, headroom {headroom} must be within 1 to 32, "
            "-126 to 127, 0 to 48"
        )
    return bits, exponent, headroom
