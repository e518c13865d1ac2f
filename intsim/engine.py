"""Engine: runs a Plan with the kernels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.batches import Batch, Progress, run_batches
from intsim.errors import AccumulatorOverflow, OutOfDomain, UnusableInput
from intsim.inputs import check_override
from intsim.lowering.lowered import Layer, Lowered
from intsim.observe import Observer, overflow_of
from intsim.plan.choose import find_kernel
from intsim.plan.plan import Plan
from intsim.result import Result
from intsim.summation import EVENTS, PLAIN
from intsim.taps import TapSpec

if TYPE_CHECKING:
    from intsim.kernels.parallel import Sharing

Array = np.ndarray[Any, Any]

IMAGES = 16
"""Images that are run at a time: their tensors are what a run needs in memory."""


class Engine:
    """Runs a Plan, each layer over so many threads (default: the processor's cores); results depend on none of them."""

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self.threads = threads if threads is not None else len(os.sched_getaffinity(0))
        if self.threads < 1:
            raise UnusableInput(f"threads must be at least 1, not {threads!r}")
        self._kernels = {choice.layer.name: (choice, find_kernel(choice)) for choice in plan.choices}

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
        from intsim.kernels.parallel import Pool

        lowered = self.plan.lowered
        replaced = check_override(lowered, override or {})
        with Pool(self.threads) as pool:
            observer = Observer(
                lowered,
                [TapSpec.parse(tap) for tap in taps],
                lambda layer, operands, parameters: self._call(layer, operands, parameters, pool)[0],
            )
            return run_batches(
                lowered,
                inputs,
                replaced,
                observer,
                lambda batch: self._compute(batch, observer, pool),
                IMAGES,
                progress,
            )

    def _compute(self, batch: Batch, observer: Observer, pool: Sharing) -> dict[str, Array]:
        """The values of lowered.outputs for one batch."""
        lowered = self.plan.lowered
        values: dict[str, Array] = {**self.plan.constants, **batch.inputs}
        for name, array in batch.inputs.items():
            observer.given(name, array)
        wanted = set(lowered.outputs.values())
        outputs = {name: values[name] for name in wanted if name in values}
        for step in self.plan.steps:
            layer = step.choice.layer
            name = layer.outputs[0]
            if name not in batch.inputs:
                results = self._call(layer, [values[n] for n in layer.inputs], layer.parameters, pool)
                if "accumulator_bits" in layer.parameters:
                    raise_trap(lowered, layer, results, values, batch)
                observer.observe(layer, results, values)
                computed = results[0]
                if name in wanted:
                    outputs[name] = computed
                values[name] = batch.override.get(name, computed)
            for unneeded in step.release:
                values.pop(unneeded, None)
        return outputs

    def _call(
        self, layer: Layer, operands: Sequence[Array], parameters: Mapping[str, Any], pool: Sharing
    ) -> tuple[Any, ...]:
        choice, kernel = self._kernels[layer.name]
        try:
            result = kernel(*operands, **parameters, **choice.options, pool=pool)
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
