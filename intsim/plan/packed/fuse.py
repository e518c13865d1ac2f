"""Fusion: the layers that one packed op computes, only where each step's result is read by nothing but the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from intsim.kernels.packed import requantizers_int64
from intsim.kernels.packed.requantizers import INT32, REQUANTIZERS, Requantized, format_limits
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, HIGH, LOW
from intsim.lowering.lowered import MAC_LAYERS, Layer
from intsim.plan.packed.op import float_bits


@dataclass(frozen=True)
class Group:
    """Layers in a chain: one that accumulates or computes, then perhaps its requantizer, then perhaps a clamp."""

    layers: tuple[Layer, ...]

    @property
    def output(self) -> str:
        """The value that the last layer makes."""
        return self.layers[-1].outputs[0]

    @property
    def head(self) -> Layer:
        """The layer that rounds and clips, before the clamp."""
        return self.layers[-2] if self.layers[-1].op == "clip" and len(self.layers) > 1 else self.layers[-1]

    def limits(self) -> tuple[int, int]:
        """The lowest and the highest code that comes out: the format's, clamped."""
        low, high = format_limits(self.head.parameters)
        if self.head is not self.layers[-1]:
            p = self.layers[-1].parameters
            low, high = (min(max(v, p["low"]), p["high"]) for v in (low, high))
        return low, high

    def requantized(self, bounds: tuple[int, int]) -> Requantized | str:
        """The epilogue of its requantizer of sums within bounds, `raw` without one; in words why there is none."""
        long = bounds[0] < INT32[0] or bounds[1] > INT32[1]
        if len(self.layers) == 1:
            return "raw sums have at most 32 bits" if long else Requantized("raw", np.zeros(1, np.int64), (), 0, 0, 0)
        make = (requantizers_int64.REQUANTIZERS if long else REQUANTIZERS).get(self.head.op)
        if make is None:
            return f"{self.head.op} has no packed form"
        return make(self.head.parameters, *self.limits(), bounds)

    @property
    def clip(self) -> tuple[int, int]:
        """What the format clips to, in the bits of rows.CLIP_LOW and CLIP_HIGH."""
        make = REQUANTIZERS.get(self.head.op)
        if len(self.layers) == 1 or make is None:
            return 0, 0
        found = make(self.head.parameters, *format_limits(self.head.parameters), (0, 0))
        return (0, 0) if isinstance(found, str) else (found.low, found.high)


def float_ends(group: Group) -> dict[int, int]:
    """The columns of what an epilogue in float32 clamps to, and of what its format clips to, for results with zero."""
    ends = (*group.limits(), *format_limits(group.head.parameters))
    return {c: float_bits(v) for c, v in zip((LOW, HIGH, CLIP_LOW, CLIP_HIGH), ends, strict=True)}


def fuse(layers: Sequence[Layer], kept: Collection[str]) -> tuple[Group, ...]:
    """The groups of layers, in order; kept: values that are wanted as they are, which end a group.

    A requantizer joins the conv or matmul that it reads, a clamp the layer before it.
    """
    readers: dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            readers[name] = readers.get(name, 0) + 1
    groups: list[list[Layer]] = []
    made: dict[str, int] = {}
    for layer in layers:
        at = made.get(layer.inputs[0]) if layer.inputs else None
        inner = layer.inputs[0] if layer.inputs else ""
        if at is not None and readers[inner] == 1 and inner not in kept and _joins(layer, groups[at]):
            groups[at].append(layer)
            made[layer.outputs[0]] = at
            continue
        groups.append([layer])
        made[layer.outputs[0]] = len(groups) - 1
    return tuple(Group(tuple(group)) for group in groups)


def _joins(layer: Layer, group: list[Layer]) -> bool:
    last = group[-1]
    if last.op in MAC_LAYERS:
        return layer.op.startswith("requantize") and len(group) == 1
    return layer.op == "clip" and "bits" in last.parameters


def consumers(layers: Sequence[Layer]) -> Mapping[str, tuple[Layer, ...]]:
    """The layers that read each value."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        for name in layer.inputs:
            found.setdefault(name, []).append(layer)
    return {name: tuple(readers) for name, readers in found.items()}
