"""Plan: the steps that compute a Lowered network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.lowering.lowered import Lowered
from intsim.plan.buffers import releases
from intsim.plan.choose import Choice, choose
from intsim.ranges import Bounds, prove

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Step:
    """One layer with the kernel chosen for it, and the values that are not needed after it."""

    choice: Choice
    release: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """How a network is run. It is never changed, so that any number of runs may share it.

    constants: values that are the same in every run. bounds: the proof behind the choices, by layer name.
    """

    lowered: Lowered
    steps: tuple[Step, ...]
    constants: Mapping[str, Array]
    bounds: Mapping[str, Bounds]

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The kernel of each layer, in topological order."""
        return tuple(step.choice for step in self.steps)


def make_plan(lowered: Lowered, like: Plan | None = None) -> Plan:
    """The Plan of a network; like: the Plan of the same network in other formats, whose proofs are used again.

    Errors: those of ranges.prove and of choose.
    """
    bounds = prove(lowered, None if like is None else (like.lowered, like.bounds))
    layers = [layer for layer in lowered.layers if layer.op != "constant"]
    constants = {layer.outputs[0]: layer.parameters["value"] for layer in lowered.layers if layer.op == "constant"}
    made = {name for layer in layers for name in layer.outputs}
    for layer in layers:
        for name in layer.inputs:
            if name not in made and name in lowered.graph.constants:
                constants[name] = lowered.graph.constants[name]
    kept = {*constants, *lowered.outputs.values()}
    steps = tuple(
        Step(choose(layer, bounds.get(layer.name)), release)
        for layer, release in zip(layers, releases(layers, kept), strict=True)
    )
    return Plan(lowered, steps, constants, bounds)
