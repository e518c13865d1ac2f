"""What a target's accumulator makes of a MAC layer: its summation, the rounding constant inside it, its bias."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from intsim.accumulator import MAC_AXES
from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering import shift
from intsim.lowering.lowered import Layer, Lowered
from intsim.summation import PLAIN, Summation
from intsim.target import Target

Array = np.ndarray[Any, Any]


def summation_of(target: Target, node: Node, x: Format, w: Format, shape: tuple[int | None, ...]) -> dict[str, Any]:
    """The parameter `summation` of a MAC layer, absent where it is the plain one; shape: of the weights."""
    if target.tree_layers == "dense_unsigned_by_signed" and (x.signed or not w.signed or _depthwise(node, shape)):
        target = replace(target, lanes=1, tree_bits=None, zeros_subtracted="before")
    s = Summation(
        order=_order(target, node, len(shape) - 2) if node.op == "Conv" else None,
        clamp=target.saturate_after,
        lanes=target.lanes,
        tree_bits=target.tree_bits,
        tree_overflow=target.tree_overflow,
        channels_per_pass=target.channels_per_pass,
        spill_bits=target.spill_bits,
        spill_shift=target.spill_shift,
        spill_rounding=target.spill_rounding,
        spill_overflow=target.spill_overflow,
        bias_first=target.bias_added == "first",
        offsets=_offsets(target, x),
    )
    return {} if s == PLAIN else {"summation": s}


def constant_of(target: Target, node: Node, unit: Format, y: Format | None, output: str) -> dict[str, Any]:
    """The parameter `constant` of a MAC layer, the rounding constant in the accumulator; absent where that has none."""
    if target.rounding_constant == "outside" or y is None or node.attributes.get("raw_output"):
        return {}
    otp = shift.exponent(y, output, node) - shift.exponents(unit)
    if otp.max() > 62:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): no accumulator holds the rounding constant of a shift by {otp.max()}; "
            f"give it another output scale, or a rounding_constant outside"
        )
    unit_shift = np.left_shift(1, np.maximum(otp, 0))
    constant = {
        "half_up": unit_shift >> 1,
        "half_down": np.maximum((unit_shift >> 1) - 1, 0),
        "ceil": unit_shift - 1,
        "floor": unit_shift * 0,
    }[target.rounding]
    return {"constant": shift.scalar_or_array(constant)}


def rounding_of(target: Target) -> str:
    """The rounding rule that the requantizer itself still has to carry out."""
    return target.rounding if target.rounding_constant == "outside" else "floor"


def quantized_bias(values: Array, e_t: Array, target: Target) -> Array:
    """A real bias in units of the accumulator, int64[channels]; the project's choice.

    half_up(b / 2**e_t) where that fits in the target's bias_bits; else half_up(b / 2**(e_t + s)) << s with the least s
    up to headroom for which all channels fit (one left shift a layer), saturated where none does.
    """
    codes = shift.quantized_bias(values, e_t)
    if target.bias_bits is None:
        return codes
    low, high = -(1 << (target.bias_bits - 1)), (1 << (target.bias_bits - 1)) - 1
    for left in range(target.headroom + 1):
        codes = shift.quantized_bias(values, e_t + left)
        if low <= codes.min(initial=0) and codes.max(initial=0) <= high:
            break
    return np.clip(codes, low, high) << left


def check_bias(codes: Array, node: Node, target: Target) -> None:
    """Raise OutOfDomain for a bias code of the model that does not fit in the target's bias_bits."""
    if target.bias_bits is None or codes.size == 0:
        return
    low, high = -(1 << (target.bias_bits - 1)), (1 << (target.bias_bits - 1)) - 1
    if int(codes.min()) < low or int(codes.max()) > high:
        channel = int(np.argmax(np.abs(codes)))
        raise OutOfDomain(
            f"node {node.name!r}: the bias code {int(codes[channel])} of channel {channel} must fit in "
            f"{target.bias_bits} bits; quantize the bias to them, or raise bias_bits"
        )


def bias_cost(lowered: Lowered, layer: Layer) -> tuple[int, float] | None:
    """What the limits of the bias cost a MAC layer: its left shift, and its error in LSB of the accumulator.

    The error of a real bias is the largest |code - b / unit| of a channel; of a bias that the file holds in codes,
    whose reals are not known, it is the most that rounding to so coarse a unit can have cost: half of 2**shift.
    None where there is no bias.
    """
    graph: Graph = lowered.graph
    codes = layer.parameters.get("bias")
    node = next(n for n in graph.nodes if n.name == layer.node)
    if codes is None or len(node.inputs) < 3:
        return None
    codes = np.asarray(codes, np.int64).reshape(-1)
    used = codes[codes != 0]
    left = int(min(((int(c) & -int(c)).bit_length() - 1 for c in used), default=0))
    format, unit = graph.format(node.inputs[2]), lowered.values[layer.outputs[0]]
    assert unit is not None, "an accumulator has a format"
    if format is None:
        reals = np.asarray(graph.constants[node.inputs[2]], np.float64).reshape(-1)
        return left, float(np.abs(codes - reals / unit.scales.astype(np.float64)).max(initial=0.0))
    if format.exponents is None or unit.exponents is None:
        return 0, 0.5
    apart = shift.exponents(format) - shift.exponents(unit)
    left = int(np.broadcast_to(apart, codes.shape)[codes != 0].max(initial=0))
    return left, 2.0 ** (left - 1)


def _order(target: Target, node: Node, spatial: int) -> tuple[int, ...] | None:
    """The axes of a kernel, outermost first; None for the order in which they are."""
    if target.mac_order == MAC_AXES:
        return None
    if spatial > 2:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): {spatial} spatial axes have no row and column for the mac_order of "
            f"target {target.name!r}"
        )
    axes = {"channel": 0, "row": 1, "column": 2} if spatial == 2 else {"channel": 0, "column": 1}
    order = tuple(axes[name] for name in target.mac_order if name in axes)
    return None if order == tuple(range(len(order))) else order


def _depthwise(node: Node, shape: tuple[int | None, ...]) -> bool:
    """Whether each output channel has an input channel of its own."""
    return node.op == "Conv" and node.attributes["groups"] > 1 and shape[:2] == (node.attributes["groups"], 1)


def _offsets(target: Target, x: Format) -> tuple[int, int] | None:
    if target.zeros_subtracted == "before":
        return None
    flipped = target.zeros_subtracted == "after_unsigned" and x.signed
    return (-(1 << (x.bits - 1)) if flipped else 0, 0)
