"""Why a code differs when both sides were fed the same codes: a tie, a saturation, a wrapped sum, a rounding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import Graph
from intsim.levels import GUARD_BITS
from intsim.target import Target

Array = np.ndarray[Any, Any]

TIE = "tie"
TABLE = "table rounding"
"""Products of POST and POT weights are rounded, where a peer in float multiplies by the irrational level."""
REQUANTIZER = "requantizer"
"""The target's multiplier and shift round otherwise than one product in float32, which gives the peer's code."""
IN_FLOAT32 = frozenset({"float32", "onnx_reference", "xnnpack_fp32"})
ACCUMULATORS = {"wrap": "wrapped accumulator", "saturate": "saturated accumulator", "trap": "overflowed accumulator"}
"""Overflow rule -> how the cause is called where the sum did not fit."""


def other_tie_rules(target: Target) -> tuple[str, ...]:
    """Rules that decide ties otherwise than the target does: a result that changes with one of them is a tie."""
    if target.requantizer in ("float32", "pulp") or not target.rounding.startswith("half"):
        return ()
    return tuple(rule for rule in ("half_up", "half_down") if rule != target.rounding)


def with_float32_requantizer(target: Target) -> Target | None:
    """The target with one product in float32 in the place of its multiplier and shift; None where it has none."""
    if target.requantizer in IN_FLOAT32 or target.shifts_only:
        return None
    return replace(target, requantizer="xnnpack_fp32", fully_connected=None)


def with_exact_tables(graph: Graph) -> Graph | None:
    """The graph with products of POST and POT weights in the most guard bits; None where it has no such weights."""
    finer = {}
    for name, value in graph.values.items():
        if value.format is not None and value.format.levels is not None:
            levels = replace(value.format.levels, guard_bits=GUARD_BITS[1], variant="full")
            finer[name] = replace(value, format=replace(value.format, levels=levels))
    return replace(graph, values={**graph.values, **finer}) if finer else None


def name_causes(
    expected: Array, actual: Array, variants: Mapping[str, Sequence[Array]], format: Format, floating: bool
) -> Counter[str]:
    """Cause -> how many of the differing elements it explains; each element has one.

    variants: cause -> the codes of the same layer on the same operands, where that cause acts otherwise. Such are
    other tie rules, an accumulator that holds every sum, a product in float32, products with more guard bits.
    The first of these that fits is the cause:
    `layout`: the tensor has the same codes in another order.
    A cause of the variants: the variant gives another code. For a `tie` the sides must be one code apart. For the
    `requantizer` the variant must give the peer's code.
    `saturation`: one side is at an end of the range, and they are more than one code apart.
    `float rounding`: the peer computes in float, and the sides are one code apart.
    `arithmetic`: everything else.
    """
    differs = expected != actual
    gap = np.abs(expected.astype(np.int64) - actual.astype(np.int64))
    at_end = np.isin(expected, (format.low, format.high)) | np.isin(actual, (format.low, format.high))
    nowhere, everywhere = np.zeros(differs.shape, bool), np.ones(differs.shape, bool)
    masks = {"layout": everywhere if _permuted(expected, actual) else nowhere}
    for cause, others in variants.items():
        changed = np.logical_or.reduce([other != actual for other in others]) if others else nowhere
        if cause == TIE:
            changed = changed & (gap == 1)
        elif cause == REQUANTIZER:
            changed = np.logical_or.reduce([other == expected for other in others])
        masks[cause] = changed
    masks["saturation"] = at_end & (gap > 1)
    masks["float rounding"] = (gap == 1) if floating else nowhere
    masks["arithmetic"] = everywhere
    causes: Counter[str] = Counter()
    left = differs
    for cause, mask in masks.items():
        count = int(np.count_nonzero(left & mask))
        if count:
            causes[cause] = count
        left = left & ~mask
    return causes


def _permuted(expected: Array, actual: Array) -> bool:
    """Whether one image's codes are the other's in another order; a few codes can be so by chance."""
    return np.unique(expected).size > 2 and np.array_equal(np.sort(expected, axis=None), np.sort(actual, axis=None))
