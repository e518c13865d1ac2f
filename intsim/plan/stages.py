"""Stages: what an engine carries out in order, programs of packed kernels or single layers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from intsim.lowering.lowered import Layer
from intsim.plan.buffers import releases
from intsim.plan.choose import Choice
from intsim.plan.plan import Plan
from intsim.plan.wanted import Wanted

if TYPE_CHECKING:
    from intsim.plan.packed.schedule import Segment


@dataclass(frozen=True)
class Stage:
    """Layers that are computed together by a program, or one layer by its own kernel (segment None).

    inputs, outputs: the values that it reads and makes as arrays. release: those that nothing needs after it.
    """

    layers: tuple[Layer, ...]
    segment: Segment | None
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
        from intsim.plan.packed.schedule import Segment, schedule

        found = [
            Stage(item.layers, item, tuple(item.inputs), tuple(item.made))
            if isinstance(item, Segment)
            else _single(item)
            for item in schedule(plan.lowered, layers, plan.bounds, isa, wanted, known)
        ]
    held = {*plan.constants, *plan.lowered.outputs.values()}
    freed = releases([(stage.inputs, stage.outputs) for stage in found], held)
    return tuple(
        Stage(stage.layers, stage.segment, stage.inputs, stage.outputs, release)
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


def choices_on(plan: Plan, isa: str) -> tuple[Choice, ...]:
    """A plan's choices on an instruction set: packed kernels where there are any, else why there is none."""
    if isa == "portable":
        return plan.choices
    from intsim.plan.packed.schedule import choose_ops

    layers = [choice.layer for choice in plan.choices]
    found = {}
    for group, op in choose_ops(plan.lowered, layers, plan.bounds, isa, plan.lowered.outputs.values()):
        for layer in group.layers:
            found[layer.name] = op
    return tuple(
        replace(choice, reason=f"{choice.reason}; portable loops: {op}", refused=op)
        if isinstance(op := found[choice.layer.name], str)
        else replace(choice, kernel=op.kernel, reason=f"{choice.reason}; {op.reason}")
        for choice in plan.choices
    )


def _single(layer: Layer) -> Stage:
    return Stage((layer,), None, layer.inputs, layer.outputs)
