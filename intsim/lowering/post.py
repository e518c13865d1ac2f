"""POST and POT weights: the unit of their products, and the table that a layer looks them up in."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.errors import UnsupportedOp
from intsim.formats import Format
from intsim.graph import Node
from intsim.levels import Levels, product_table

WIDEST = 16
"""Bits of the widest activations that a table of products is made for."""


def as_uniform(format: Format) -> Format:
    """The uniform signed format with the unit and the range of the products' second factor; others stay as they are.

    A product is a multiple of alpha * 2**-F and at most 2**F of them times x, as with weights of F + 1 bits: what the
    accumulator's width, its exponent and its requantizer follow from.
    """
    if format.levels is None:
        return format
    guard_bits = format.levels.guard_bits
    scale = tuple(math.ldexp(alpha, -guard_bits) for alpha in format.scale)
    return Format(guard_bits + 1, True, False, scale, (0,) * len(scale), format.axis)


def look_up(op: str, parameters: dict[str, Any], node: Node, x: Format, w: Format) -> tuple[str, dict[str, Any]]:
    """The layer's op, and its parameters with the table in the place of the weights' zero points."""
    if w.levels is None:
        return op, parameters
    operand, zero = ("w", "w_zero") if op == "conv" else ("b", "b_zero")
    if operand not in parameters or (op == "matmul" and np.ndim(parameters[operand]) != 2):
        raise UnsupportedOp(f"node {node.name!r} ({node.op}): POST weights must be a constant matrix or kernel")
    if x.levels is not None or x.bits > WIDEST:
        raise UnsupportedOp(
            f"node {node.name!r} ({node.op}): activations for POST weights must be uniform codes of up to {WIDEST} bits"
        )
    low, high = x.low - x.zero_point[0], x.high - x.zero_point[0]
    table = _table(w.levels, w.bits, min(low, 0), max(high, 0))
    rest = {key: value for key, value in parameters.items() if key != zero}
    summation = rest.get("summation")
    if summation is not None:
        # The table is that of the code less its zero point, so that there is nothing to correct afterwards.
        rest["summation"] = replace(summation, offsets=None)
    return f"post_{op}", {**rest, "table": table, "low": min(low, 0)}


@functools.lru_cache(maxsize=64)
def _table(levels: Levels, bits: int, low: int, high: int) -> np.ndarray[Any, Any]:
    """Layers of the same formats share one table."""
    table = product_table(levels, bits, low, high)
    table.flags.writeable = False
    return table
