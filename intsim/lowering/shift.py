"""The `shift` requantizer: which nodes run in integers, and how a sum becomes a code: round and truncate (RNT).

Source: DiffQuant, (18) to (23): the accumulator's exponent is e_t = e_x + e_w; its truncation point OTP = e_y - e_t.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnsupportedOp
from intsim.formats import Format
from intsim.graph import Graph, Node
from intsim.lowering.builder import output_parameters
from intsim.lowering.clamps import Clamp
from intsim.ops import MACS
from intsim.target import Target

SECOND_OPERAND_MAY_BE_REAL = frozenset({"PRelu", "BatchNormalization"})


def float_reason(graph: Graph, node: Node, clamp: Clamp, in_tail: bool) -> str | None:
    """Which tensor keeps the node from integers; None where every one that matters is quantized.

    A MAC layer in the float tail needs no quantized output: its raw accumulator is dequantized.
    """
    if node.op in ("QuantizeLinear", "DequantizeLinear"):
        return None
    operands = node.inputs[:1] if node.op in SECOND_OPERAND_MAY_BE_REAL else node.inputs
    if node.op in MACS:
        operands = node.inputs[:2]  # a real bias is quantized by the target
    result = () if node.op in MACS and in_tail else (clamp.output,)
    for name in (*operands, *result):
        if name and graph.format(name) is None:
            return f"tensor {name!r} is not quantized"
    return None


def check_exponents(graph: Graph, node: Node, clamp: Clamp, target: Target) -> None:
    """Raise UnsupportedOp for the first scale of the node's tensors (and its clamp's) that is no power of two."""
    for name in (*node.inputs, *node.outputs, clamp.output):
        format = graph.format(name) if name else None
        if format is not None and format.exponents is None:
            scale = next(s for s in format.scale if math.frexp(s)[0] != 0.5)
            raise UnsupportedOp(
                f"node {node.name!r} ({node.op}): scale {scale!r} of tensor {name!r} is not a power of two, and "
                f"target {target.name!r} only shifts; use --target onnxruntime, or make a model with `intsim quantize`"
            )


def exponent(format: Format, name: str, node: Node) -> int:
    """The shared exponent of a per_tensor format; UnsupportedOp where it is per_channel."""
    exponents = format.exponents
    assert exponents is not None, "check_exponents ran before"
    if len(set(exponents)) != 1:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): tensor {name!r} has {len(exponents)} exponents, and only weights and "
            f"biases may be per_channel"
        )
    return exponents[0]


def exponents(format: Format) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The exponents as int64[channels], length 1 per tensor."""
    assert format.exponents is not None, "check_exponents ran before"
    return np.array(format.exponents, np.int64)


def scalar_or_array(values: np.ndarray[Any, Any]) -> int | np.ndarray[Any, Any]:
    """An int where all values are equal, so that per_tensor arithmetic stays per_tensor."""
    return int(values.flat[0]) if values.size and (values == values.flat[0]).all() else values


def aligned_bias(
    codes: np.ndarray[Any, Any],
    e_b: np.ndarray[Any, Any],
    e_t: np.ndarray[Any, Any],
    node: Node,
    target: Target,
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Bias codes in units of the accumulator, int64[channels]: b << (e_b - e_t), a left shift, so nothing is rounded.

    Errors: OutOfDomain unless e_t <= e_b <= e_t + headroom (for the all-zero bias any exponent will do).
    """
    shift = np.broadcast_to(e_b - e_t, codes.shape)
    used = codes != 0
    if (shift[used] < 0).any() or (shift[used] > target.headroom).any():
        channel = int(np.flatnonzero(used & ((shift < 0) | (shift > target.headroom)))[0])
        raise OutOfDomain(
            f"node {node.name!r}: the bias of channel {channel} would shift left by {int(shift[channel])}; it must be "
            f"0 to {target.headroom} (its exponent within [e_t, e_t + L])"
        )
    return np.where(used, codes.astype(np.int64) << np.where(used, shift, 0), 0)


def quantized_bias(reals: np.ndarray[Any, Any], e_t: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """A real bias in units of the accumulator, int64[channels]: half_up(b / 2**e_t), the project's choice."""
    exact = np.ldexp(reals.astype(np.float64), np.broadcast_to(-e_t, reals.shape).astype(np.int32))
    whole = np.floor(exact)
    return (whole + (exact - whole >= 0.5)).astype(np.int64)


def requantization(
    node: Node,
    target: Target,
    amount: Any,
    rounding: str,
    bias: np.ndarray[Any, np.dtype[np.int64]] | None,
    y: Format,
) -> tuple[str, dict[str, Any]]:
    """The spec function that shifts an accumulator right by `amount`, and its parameters but for the axis.

    rounding: what is left to round. bias: what the MAX7800x adds, in units of the accumulator: 2**7 times an int8.
    Errors: OutOfDomain for a shift or a bias that the target has not.
    """
    if target.requantizer == "max7800x":
        return "requantize_max7800x", _max7800x(node, target, amount, bias, y)
    if target.requantizer == "nngen":
        _within(node, target, amount, 0, 62)
        return "requantize_nngen", {
            "out_shift": amount,
            "bits": y.bits,
            "signed": y.signed,
            "narrow": y.signed,
        }
    return "requantize", {"shift": amount, "rounding": rounding, **output_parameters(y)}


def _max7800x(
    node: Node, target: Target, amount: Any, bias: np.ndarray[Any, np.dtype[np.int64]] | None, y: Format
) -> dict[str, Any]:
    _within(node, target, amount, 7 - 15, 7 + 15)
    codes = np.zeros(1, np.int64) if bias is None else bias >> 7
    if bias is not None and ((codes << 7 != bias) | (codes < -128) | (codes > 127)).any():
        channel = int(np.flatnonzero((codes << 7 != bias) | (codes < -128) | (codes > 127))[0])
        raise OutOfDomain(
            f"node {node.name!r}: the bias of channel {channel} is {int(bias[channel])} in units of the accumulator; "
            f"target {target.name!r} adds an int8 shifted left by 7, so it must be 128 times -128 to 127"
        )
    narrow = {k: v for k, v in output_parameters(y).items() if k != "zero_point"}
    return {"output_shift": 7 - amount, "bias": scalar_or_array(codes), **narrow}


def _within(node: Node, target: Target, amount: Any, low: int, high: int) -> None:
    worst = next((int(a) for a in np.atleast_1d(amount) if not low <= a <= high), None)
    if worst is not None:
        raise OutOfDomain(
            f"node {node.name!r}: it needs a right shift by {worst}, and target {target.name!r} shifts by {low} to "
            f"{high}; change the exponent of tensor {node.outputs[0]!r}"
        )
