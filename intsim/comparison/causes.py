"""Why a code differs when both sides were fed the same codes: a tie, a saturation, a wrapped sum, a float rounding."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.target import Target

Array = np.ndarray[Any, Any]


def other_tie_rules(target: Target) -> tuple[str, ...]:
    """Rules that decide ties otherwise than the target does: a result that changes with one of them is a tie."""
    if target.requantizer == "float32" or not target.rounding.startswith("half"):
        return ()
    return tuple(rule for rule in ("half_up", "half_down") if rule != target.rounding)


def name_causes(
    expected: Array, actual: Array, other_ties: tuple[Array, ...], format: Format, floating: bool
) -> Counter[str]:
    """Cause -> how many of the differing elements it explains; each element has one.

    other_ties: the same layer with the same operands under other tie rules. In this order: `tie` (the exact result
    lies halfway between two codes), `saturation` (one side is at the end of the range, and they are more than one code
    apart), `float rounding` (the peer computes in float and is one code off), else `arithmetic`.
    """
    differs = expected != actual
    gap = np.abs(expected.astype(np.int64) - actual.astype(np.int64))
    tie = np.zeros(differs.shape, bool)
    for other in other_ties:
        tie |= other != actual
    tie &= gap == 1
    at_end = np.isin(expected, (format.low, format.high)) | np.isin(actual, (format.low, format.high))
    masks = {
        "tie": tie,
        "saturation": at_end & (gap > 1),
        "float rounding": (gap == 1) if floating else np.zeros(differs.shape, bool),
        "arithmetic": np.ones(differs.shape, bool),
    }
    causes: Counter[str] = Counter()
    left = differs
    for cause, mask in masks.items():
        count = int(np.count_nonzero(left & mask))
        if count:
            causes[cause] = count
        left = left & ~mask
    return causes
