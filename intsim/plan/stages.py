"""Stages: what an engine carries out in order, programs of packed kernels or single layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from intsim.lowering.lowered import Layer
from intsim.plan.buffers import releases
from intsim.plan.plan import Plan

if TYPE_CHECKING:
    from intsim.plan.packed.schedule import Part


@dataclass(frozen=True)
class Wanted:
    """What a run shows: values as arrays; counts of values; of layers, by the value they make, what they clip.

    counted: value -> whether it takes a histogram, and whether one for each image. replaced: values that their readers
    are given, whatever was computed.
    """

    arrays: frozenset[str]
    counted: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)
    clipped: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self.arrays, tuple(self.counted.items()), self.clipped, self.replaced

    @property
    def values(self) -> frozenset[str]:
        """The values that must lie in memory."""
        return self.arrays | self.counted.keys()


@dataclass(frozen=True)
class Stage:
    """Layers that are computed together by a program, or one layer by its own kernel (part None).

    inputs, outputs: the values that it reads and makes as arrays. release: those that nothing needs after it.
    """

    layers: tuple[Layer, ...]
    part: Part | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    release: tuple[str, ...] = ()


def make_stages(
    plan: Plan, isa: str | None, wanted: Wanted, given: Collection[str], known: dict[Any, Any] | None = None
) -> tuple[Stage, ...]:
    """The stages that make what is wanted; isa: None where every layer runs by itself.

    given: values that a run is given and does not compute. Layers that nothing wanted needs are left out. known: packed
    ops of other stages of this plan, see schedule.
    """
    layers = needed([choice.layer for choice in plan.choices], wanted.values | wanted.clipped, given, wanted.replaced)
    if isa is None:
        found = [_single(layer) for layer in layers]
    else:
        from intsim.plan.packed.schedule import Part, schedule

        found = [
            Stage(item.layers, item, tuple(item.inputs), tuple(item.made)) if isinstance(item, Part) else _single(item)
            for item in schedule(plan.lowered, layers, plan.bounds, isa, wanted, known)
        ]
    held = {*plan.constants, *plan.lowered.outputs.values()}
    freed = releases([(stage.inputs, stage.outputs) for stage in found], held)
    return tuple(
        Stage(stage.layers, stage.part, stage.inputs, stage.outputs, release)
        for stage, release in zip(found, freed, strict=True)
    )


def needed(
    layers: list[Layer], kept: Collection[str], given: Collection[str], replaced: Collection[str] = ()
) -> list[Layer]:
    """The layers, in order, that the values in `kept` depend on, less those that make what is given.

    replaced: values that their readers do not need computed.
    """
    wanted = set(kept)
    found = []
    for layer in reversed(layers):
        if any(name in wanted and name not in given for name in layer.outputs):
            found.append(layer)
            wanted.update(name for name in layer.inputs if name not in replaced)
    return found[::-1]


def _single(layer: Layer) -> Stage:
    return Stage((layer,), None, layer.inputs, layer.outputs)
