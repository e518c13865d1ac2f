"""Engine: runs a Plan with the kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.errors import AccumulatorOverflow, OutOfDomain, UnusableInput
from intsim.islands.environment import standard_floats
from intsim.lowering.lowered import Layer, Lowered
from intsim.plan.choose import Choice, find_kernel
from intsim.plan.plan import Plan
from intsim.plan.stages import Stage, choices_on, make_stages
from intsim.plan.wanted import Wanted
from intsim.run.batches import Batch, Progress, run_batches
from intsim.run.inputs import check_override
from intsim.run.result import Result
from intsim.summation import EVENTS, PLAIN
from intsim.taps.observer import Observer, overflow_of
from intsim.taps.selection import Selection
from intsim.taps.tap import TapSpec

if TYPE_CHECKING:
    from intsim.kernels.packed.crew import Crew
    from intsim.kernels.parallel import Pool

Array = np.ndarray[Any, Any]

PREPARED = 64
"""What taps select is kept for that many different ones, those used last."""

IMAGES = 16
"""Images that are run at a time: their tensors are what a run needs in memory."""


@dataclass(frozen=True)
class Prepared:
    """What taps select, and the stages for it by the values that are given and those that are overridden."""

    selection: Selection
    stages: dict[tuple[frozenset[str], frozenset[str]], tuple[Stage, ...]] = field(default_factory=dict)


class Engine:
    """Runs a Plan over `threads` threads (default: the processor's cores) with the kernels of an instruction set.

    isa: one of intsim.kernels.packed.isa.ISAS, default: the environment variable INTSIM_ISA, else the fastest that the
    processor has; `portable`: compiled loops for every layer. Results depend on neither.
    """

    def __init__(self, plan: Plan, threads: int | None = None, isa: str | None = None) -> None:
        from intsim.kernels.packed.isa import find_isa

        self.plan = plan
        if threads is not None and not isinstance(threads, int):
            raise UnusableInput(f"threads must be an integer, not {threads!r}")
        self.threads = threads if threads is not None else len(os.sched_getaffinity(0))
        if self.threads < 1:
            raise UnusableInput(f"threads must be at least 1, not {threads!r}")
        try:
            self.isa = find_isa(isa)
        except ValueError as error:
            raise UnusableInput(str(error)) from error
        self._choices = {choice.layer.name: choice for choice in plan.choices}
        self._stages: dict[Any, tuple[Stage, ...]] = {}
        self._prepared_for: dict[tuple[TapSpec, ...], Prepared] = {}
        self._known: dict[Any, Any] = {}

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The kernel of each layer, and why it is that one."""
        return choices_on(self.plan, self.isa)

    @cached_property
    def _pool(self) -> Pool:
        from intsim.kernels.parallel import Pool

        return Pool(self.threads)

    @cached_property
    def _crew(self) -> Crew:
        from intsim.kernels.packed.crew import Crew

        return Crew(self.threads)

    @standard_floats()
    def run(
        self,
        inputs: Mapping[str, Array],
        taps: Sequence[TapSpec | str] = (),
        override: Mapping[str, Array] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Result:
        """The outputs and taps for arrays by value name: float32 reals or codes, the batch first.

        inputs: each graph input, or in its place the codes that it is quantized to (lowered.inputs).
        override: codes (or reals) by value name; what reads that value gets these in place of what was computed, while
        outputs and taps still show what was computed.
        Errors: AccumulatorOverflow for a sum that does not fit where the target traps it, naming the node, the
        coordinate and the sum; UnusableInput for an unknown tap or override; OutOfDomain for sums beyond int64.
        """
        lowered = self.plan.lowered
        replaced = check_override(lowered, override or {})
        prepared = self._prepared(tuple(TapSpec.parse(tap) for tap in taps))
        observer = Observer(
            lowered, prepared.selection, lambda layer, operands, parameters: self._call(layer, operands, parameters)[0]
        )
        stages = self._scheduled(inputs, prepared, replaced)
        return run_batches(
            lowered,
            inputs,
            replaced,
            observer,
            lambda batch: self._compute(batch, stages, observer),
            IMAGES,
            progress,
        )

    def _prepared(self, specs: tuple[TapSpec, ...]) -> Prepared:
        """What there is for these taps, kept for the next runs with them."""
        prepared = self._prepared_for.pop(specs, None) or Prepared(Selection(self.plan.lowered, specs))
        self._prepared_for[specs] = prepared
        while len(self._prepared_for) > PREPARED:
            self._prepared_for.pop(next(iter(self._prepared_for)), None)
        return prepared

    def _scheduled(
        self, inputs: Mapping[str, Array], prepared: Prepared, override: Mapping[str, Array]
    ) -> tuple[Stage, ...]:
        """The stages of a run: programs of packed kernels where there can be any."""
        given = frozenset(name for name in inputs if name not in self.plan.lowered.graph.inputs)
        replaced = frozenset(override)
        if (given, replaced) not in prepared.stages:
            prepared.stages[given, replaced] = self._made_stages(prepared.selection, given, replaced)
        return prepared.stages[given, replaced]

    def _made_stages(self, selection: Selection, given: frozenset[str], replaced: frozenset[str]) -> tuple[Stage, ...]:
        """The stages, which other taps may share."""
        packed = self.isa != "portable"
        if packed:
            shown = selection.shown.union(self.plan.lowered.outputs.values())
            wanted = Wanted(shown, selection.counted, frozenset(selection.clipping), replaced)
        else:
            wanted = Wanted(frozenset(self.plan.lowered.values), replaced=replaced)
        key = wanted.key, given, packed
        if key not in self._stages:
            self._stages[key] = make_stages(self.plan, self.isa if packed else None, wanted, given, self._known)
        return self._stages[key]

    def _compute(self, batch: Batch, stages: Sequence[Stage], observer: Observer) -> dict[str, Array]:
        """The values of lowered.outputs for one batch."""
        lowered = self.plan.lowered
        values: dict[str, Array] = {**self.plan.constants, **batch.inputs, **batch.override}
        for name, array in batch.inputs.items():
            observer.given(name, array)
        wanted = set(lowered.outputs.values())
        outputs = {name: values[name] for name in wanted if name in values}
        for stage in stages:
            for layer, results in self._results(stage, values, observer):
                name = layer.outputs[0]
                if stage.segment is None and "accumulator_bits" in layer.parameters:
                    raise_trap(lowered, layer, results, values, batch)
                if stage.segment is None or name not in stage.segment.counters.tallies:
                    observer.observe(layer, results, values, clipped=stage.segment is not None)
                if name in wanted:
                    outputs[name] = results[0]
                values[name] = batch.override.get(name, results[0])
            for unneeded in stage.release:
                values.pop(unneeded, None)
        return outputs

    def _results(
        self, stage: Stage, values: Mapping[str, Array], observer: Observer
    ) -> Iterator[tuple[Layer, tuple[Any, ...]]]:
        """Each layer of a stage whose result is an array, and its results; what a program counted is observed."""
        if stage.segment is None:
            (layer,) = stage.layers
            yield layer, self._call(layer, [values[n] for n in layer.inputs], layer.parameters)
            return
        made = stage.segment.compute(values, self.threads, self._share)
        observer.count(stage.segment.counters, made.counts, made.images)
        for layer in stage.layers:
            if layer.outputs[0] in made.arrays:
                yield layer, (made.arrays[layer.outputs[0]], None)

    def _share(self, function: int, argument: int) -> None:
        self._crew(function, argument)

    def _call(self, layer: Layer, operands: Sequence[Array], parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        choice = self._choices[layer.name]
        try:
            result = find_kernel(choice)(*operands, **parameters, **choice.options, pool=self._pool)
        except OutOfDomain as error:
            raise type(error)(f"node {layer.node!r} ({layer.op}): {error}") from error
        except ValueError as error:  # what kernels, which know no intsim error, raise outside their domain
            raise OutOfDomain(f"node {layer.node!r} ({layer.op}): {error}") from error
        return result if isinstance(result, tuple) else (result,)


def raise_trap(
    lowered: Lowered, layer: Layer, results: Sequence[Any], values: Mapping[str, Array], batch: Batch
) -> None:
    """Raise AccumulatorOverflow if a sum did not fit: node, coordinate in the whole run, and the sum."""
    p, s = layer.parameters, layer.parameters.get("summation") or PLAIN
    bits = int(p["accumulator_bits"])
    adders = {
        "accumulator": (p["overflow"], bits),
        "tree": (s.tree_overflow, s.tree_bits),
        "spill": (s.spill_overflow, s.spill_bits or bits),
    }
    trapped = sum(EVENTS[what] for what, (rule, _) in adders.items() if rule == "trap")
    if not trapped:
        return
    overflow = overflow_of(lowered, layer, results, values, trapped)
    if overflow.first is None:
        return
    at = (overflow.first[0] + batch.rows_before(len(results[0])), *overflow.first[1:])
    what = overflow.rule or "accumulator"
    raise AccumulatorOverflow(
        f"node {layer.node!r}: the sum {overflow.value} at {at} does not fit its {adders[what][1]}-bit {what}, which "
        f"traps; widen it ({what}_bits), or let it wrap or saturate ({_FIELDS[what]})"
    )


_FIELDS = {"accumulator": "overflow", "tree": "tree_overflow", "spill": "spill_overflow"}
"""The target's field that has the overflow rule of each adder."""
