"""Reference: the spec as an engine; it runs a lowered network layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from intsim import spec
from intsim.errors import AccumulatorOverflow, OutOfDomain, UnusableInput
from intsim.formats import Format
from intsim.islands.environment import standard_floats
from intsim.lowering.lowered import MAC_LAYERS, Layer, Lowered
from intsim.run.batches import Batch, Progress, run_batches
from intsim.run.inputs import check_override
from intsim.run.result import Result
from intsim.taps.observer import Observer
from intsim.taps.selection import Selection
from intsim.taps.tap import TapSpec

Array = np.ndarray[Any, Any]

SPEC_IMAGES = 4
"""Images that the spec runs at a time; its integers are eight bytes wide."""

Observe = Callable[[Layer, tuple[Array, ...], Mapping[str, Array]], None]
"""Shown each layer, its results (of a MAC layer: the sums and where they overflowed) and the values at hand."""


class SpecEngine:
    """Runs a Lowered network with the spec, on unbounded integers: slow, and the judge of the kernels."""

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered

    @standard_floats()
    def run(
        self,
        inputs: Mapping[str, Array],
        taps: Sequence[TapSpec | str] = (),
        override: Mapping[str, Array] | None = None,
        *,
        progress: Progress | None = None,
    ) -> Result:
        """The outputs and taps for arrays by value name. Arguments and errors: those of `Engine.run`."""
        lowered = self.lowered
        replaced = check_override(lowered, override or {})
        observer = Observer(lowered, Selection(lowered, [TapSpec.parse(tap) for tap in taps]), _recompute)

        def compute(batch: Batch) -> dict[str, Array]:
            for name, array in batch.inputs.items():
                observer.given(name, array)
            try:
                return run_reference(lowered, batch.inputs, observer.observe, batch.override)
            except AccumulatorOverflow as error:
                if batch.before == 0:
                    raise
                raise AccumulatorOverflow(f"{error} (its images are counted from number {batch.before} on)") from error

        return run_batches(lowered, inputs, replaced, observer, compute, SPEC_IMAGES, progress)


def _recompute(layer: Layer, operands: Sequence[Array], parameters: Mapping[str, Any]) -> Array:
    """A layer's result with other parameters."""
    return run_layer(replace(layer, parameters=parameters), operands, None)[0]


@standard_floats()
def run_reference(
    lowered: Lowered,
    inputs: Mapping[str, Array],
    observe: Observe | None = None,
    override: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """The values of lowered.outputs, by value name, in their storage dtypes.

    inputs: arrays by value name: each graph input (float32 reals or codes), or in its place the codes that it is
    quantized to (lowered.inputs), whose layer is then left out.
    observe: called after each layer that was computed, in topological order; a value is freed once it was read last.
    override: codes (or reals) by value name for the layers that read them; observe and the result still get what was
    computed.
    Errors: UnusableInput for a missing input; OutOfDomain, naming the node, for data or parameters outside a layer's
    domain and for codes outside their format; AccumulatorOverflow where the target traps it.
    """
    values = dict(inputs)
    reads = Counter(name for layer in lowered.layers if layer.outputs[0] not in inputs for name in layer.inputs)
    wanted = frozenset(lowered.outputs.values())
    outputs = {name: array for name, array in inputs.items() if name in wanted}
    for layer in lowered.layers:
        name = layer.outputs[0]
        if name in inputs:
            continue
        missing = next((n for n in layer.inputs if n not in values), None)
        if missing is not None:
            raise UnusableInput(f"node {layer.node!r}: no array for {missing!r}; give one for each input")
        results = run_layer(layer, [values[n] for n in layer.inputs], lowered.values[name])
        if observe is not None:
            observe(layer, results, values)
        if name in wanted:
            outputs[name] = results[0]
        values[name] = (override or {}).get(name, results[0])
        reads.subtract(layer.inputs)
        for read in {*layer.inputs, name}:
            if reads[read] == 0:
                del values[read]
    return outputs


def run_layer(layer: Layer, operands: Sequence[Array], format: Format | None) -> tuple[Array, ...]:
    """The results of one layer: the value in its storage dtype and, of a MAC layer, where its sums overflowed.

    format: of the value, which is checked to lie in it; None for reals. Errors: OutOfDomain, AccumulatorOverflow.
    """
    try:
        result = getattr(spec, layer.op)(*operands, **layer.parameters)
    except OutOfDomain as error:
        raise type(error)(f"node {layer.node!r} ({layer.op}): {error}") from error
    value, *masks = result if isinstance(result, tuple) else (result,)
    if format is None:
        return value, *masks
    format.check(value, layer.outputs[0])
    return value.astype(_storage(layer, format), copy=False), *masks


def _storage(layer: Layer, format: Format) -> np.dtype[Any]:
    if layer.op in MAC_LAYERS:
        return np.dtype(np.int32 if format.bits <= 32 else np.int64)
    return format.dtype
