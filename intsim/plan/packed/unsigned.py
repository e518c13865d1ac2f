"""Signed values of which no code is negative: without vpdpbusd, they are multiplied faster as they are than + 128."""

from __future__ import annotations

from collections.abc import Collection

from intsim.lowering.lowered import Lowered
from intsim.plan.packed.ops.alias import OPS as ALIASES
from intsim.plan.packed.ops.average_pool import OPS as AVERAGE_POOLS

HANDING_ON = frozenset({"max_pool", *ALIASES})
"""Layers whose result has no codes but those of their operand, stored alike."""

TAKING_ANY = frozenset({"conv", "matmul", "add", "sub", *AVERAGE_POOLS})
"""Layers that read stored codes less what was added to them, whatever it is."""


def values_without_sign(lowered: Lowered, rows: Collection[str] = ()) -> frozenset[str]:
    """The signed values of at most 8 bits that a clamp makes without negative codes, and that only such layers read.

    rows: values that lie row by row, which are left out.
    """
    found: set[str] = set()
    for layer in lowered.layers:
        name = layer.outputs[0]
        format = lowered.values.get(name)
        if format is None or not format.signed or format.bits > 8 or name in rows or min(format.zero_point) < 0:
            continue
        clamped = layer.op == "clip" and int(layer.parameters["low"]) >= 0
        if clamped or (layer.op in HANDING_ON and layer.inputs[0] in found):
            found.add(name)
    for layer in reversed(lowered.layers):
        if layer.op not in TAKING_ANY and not (layer.op in HANDING_ON and layer.outputs[0] in found):
            found.difference_update(layer.inputs)
    return frozenset(found)
