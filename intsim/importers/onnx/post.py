"""POST and POT weights: the functions of the project's own domain that stand in the place of DequantizeLinear."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from intsim.formats import Format
from intsim.importers.onnx.builder import GraphBuilder, Operand
from intsim.importers.onnx.onnx_node import INTSIM, OnnxNode
from intsim.importers.onnx.translate import Importer
from intsim.levels import BITS, GUARD_BITS, RULES, VARIANTS, Levels
from intsim.ops import MACS

FUNCTIONS = {"PostDequantizeLinear": "post", "PotDequantizeLinear": "pot"}
"""Function -> the level rule of its codes."""


def dequantize(builder: GraphBuilder, node: OnnxNode) -> None:
    """PostDequantizeLinear(codes, alpha) {bits, guard_bits, table}: its output is a view of the codes."""
    codes, alpha = builder.operand(node, 0, "codes"), builder.known(node, 1, "alpha")
    if codes.constant is None or not codes.integer:
        raise node.unsupported(f"input 0 ({node.inputs[0]!r}, codes) must be a constant integer tensor")
    if alpha is None or alpha.dtype != np.float32:
        raise node.malformed("input 1 (alpha) must be a float32 tensor")
    format = _format(node, codes, alpha)
    wide = codes.constant.astype(np.int64)
    zero = 1 << (format.bits - 1)
    for bad in np.argwhere((wide < 0) | (wide > format.high) | (wide == zero))[:1]:
        at = tuple(int(i) for i in bad)
        raise node.malformed(
            f"code {int(wide[at])} at {at} must be within 0 to {format.high}, and not {zero}, the negative zero"
        )
    tensor = node.outputs[0]
    for reader in builder.model.nodes:
        if tensor in reader.inputs and (reader.op not in MACS or reader.inputs.index(tensor) != 1):
            raise reader.unsupported(
                f"reads {tensor!r}, the output of {node.op}; supported: as the weights of {', '.join(sorted(MACS))}"
            )
    if tensor in builder.model.outputs:
        raise node.unsupported(f"output {tensor!r} of the graph is a constant: nothing is computed")
    builder.operands[tensor] = Operand(
        codes.name, codes.shape, format, constant=codes.constant.astype(np.uint8), sources=(node.name,)
    )


def _format(node: OnnxNode, codes: Operand, alpha: np.ndarray) -> Format:
    bits, guard_bits = node.integer("bits", 4), node.integer("guard_bits", 4)
    variant = node.text("table", "shared")
    if not BITS[0] <= bits <= BITS[1] or not GUARD_BITS[0] <= guard_bits <= GUARD_BITS[1] or variant not in VARIANTS:
        raise node.malformed(
            f"bits must be {BITS[0]} to {BITS[1]}, guard_bits {GUARD_BITS[0]} to {GUARD_BITS[1]}, table one of "
            f"{', '.join(VARIANTS)}, not {bits}, {guard_bits}, {variant!r}"
        )
    rank = len(codes.shape)
    long = [axis for axis, length in enumerate((1,) * (rank - alpha.ndim) + alpha.shape) if length != 1]
    if alpha.ndim > rank or len(long) > 1 or any(codes.shape[axis] != alpha.size for axis in long):
        raise node.malformed(
            f"alpha of shape {alpha.shape} must be one number, or one per index of one axis of the codes {codes.shape}"
        )
    rule = FUNCTIONS[node.op]
    assert rule in RULES, "each function has a rule"
    scale = tuple(float(a) for a in alpha.reshape(-1))
    levels = Levels(rule, guard_bits, variant)
    return Format(bits, False, False, scale, (0,), long[0] if long else None, levels)


OPS: Mapping[tuple[str, str], Importer] = {(INTSIM, name): dequantize for name in FUNCTIONS}
