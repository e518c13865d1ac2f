"""Observe: taps on the layers of a network while something computes them, kernels or the spec alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np

from intsim.lowering.lowered import CONVS, MAC_LAYERS, Layer, Lowered
from intsim.ranges.terms import constant_codes
from intsim.summation import ALL_EVENTS
from intsim.taps.counters import CLIPPED, Counters, Counts
from intsim.taps.selection import Selection
from intsim.taps.tap import Collector, Overflow, Tap, count_clipped, count_overflows
from intsim.taps.trace import first_misfit

Array = np.ndarray[Any, Any]

LayerCall = Callable[[Layer, Sequence[Array], Mapping[str, Any]], Array]
"""Computes a layer from its operands, with other parameters than its own."""

EXTRA_BITS = 2
"""With that many more bits, signed, a result that its format clips is still outside the format, on the same side."""

WIDEST = 64


class Observer:
    """Takes the taps of one run: it is shown each layer's results, batch by batch, in topological order.

    selection: what it observes. overflows: by tensor, its sums that left their accumulator, whether a tap
    asks for them or not.
    """

    def __init__(self, lowered: Lowered, selection: Selection, call: LayerCall) -> None:
        self._lowered = lowered
        self._call = call
        self.selection = selection
        self.overflows: dict[str, int] = {}
        self._collectors: dict[str, Collector] = {}
        self._counts: dict[Counters, Counts] = {}

    def count(self, counters: Counters, array: Array, images: int) -> None:
        """Observe what a program counted in the next images."""
        if counters not in self._counts:
            self._counts[counters] = Counts(counters)
        self._counts[counters].add(array, images)

    def given(self, name: str, codes: Array) -> None:
        """Observe a value that was given, not computed."""
        if name in self.selection.tensors:
            self._collector(name).add_codes(codes)

    def observe(
        self, layer: Layer, results: Sequence[Array | None], values: Mapping[str, Array], clipped: bool = False
    ) -> None:
        """Observe a layer's results (of a MAC layer: the sums and where they overflowed, None for nowhere).

        clipped: what it clipped is counted, so it is not computed once more to find out.
        """
        name, result = layer.outputs[0], results[0]
        assert result is not None, "only the mask may be missing"
        if name in self.selection.tensors:
            self._collector(name).add_codes(result)
        tensor = self.selection.by_accumulator.get(name)
        if tensor is not None:
            collector = self._collector(tensor)
            if "accumulator" in collector.specs:
                format = self._lowered.values[name]
                assert format is not None, "an accumulator has a format"
                collector.add_accumulator(result, format)
            if "overflow" in collector.specs:
                collector.add_overflow(overflow_of(self._lowered, layer, results, values), len(result))
        if layer.op in MAC_LAYERS and len(results) > 1 and results[1] is not None:
            count = int(np.count_nonzero(results[1]))
            if count:
                tensor = self._tensor_of.get(name, name)
                self.overflows[tensor] = self.overflows.get(tensor, 0) + count
        if not clipped and name in self.selection.clipping:
            low, high = self._clipped(layer, values)
            for tensor in self.selection.clipping[name]:
                self._collector(tensor).add_clipped(low, high)

    def taps(self) -> Mapping[str, Tap]:
        """The taps, by tensor name, in topological order."""
        return Observed(self.selection, self._collectors, self._counts)

    @cached_property
    def _tensor_of(self) -> Mapping[str, str]:
        return {accumulator: tensor for tensor, accumulator in self._lowered.accumulators.items()}

    def _collector(self, name: str) -> Collector:
        """The collector of a tensor: there is none as long as nothing is observed but what programs count."""
        if name not in self._collectors:
            self._collectors[name] = collector(self.selection, name)
        return self._collectors[name]

    def _clipped(self, layer: Layer, values: Mapping[str, Array]) -> tuple[int, int]:
        """How many results the layer clips at each end: it is computed once more, with more bits."""
        format = self._lowered.values[layer.outputs[0]]
        assert format is not None, "a layer with bits makes codes"
        bits = min(int(layer.parameters["bits"]) + EXTRA_BITS, WIDEST)
        wide = {**layer.parameters, "bits": bits, "signed": True, "narrow": False}
        own = replace(format, narrow=bool(layer.parameters.get("narrow", False)))  # NNgen's is narrow in any format
        return count_clipped(self._call(layer, [values[n] for n in layer.inputs], wide), own)


class Observed(Mapping[str, Tap]):
    """The taps of a run that is over, by tensor name; each is made when it is first asked for.

    collectors: what was shown, of tensors of which anything was. counts: what programs counted.
    """

    def __init__(
        self, selection: Selection, collectors: Mapping[str, Collector], counts: Mapping[Counters, Counts]
    ) -> None:
        self._selection, self._collectors, self._counts = selection, dict(collectors), counts
        self._taps: dict[str, Tap] = {}
        self._lock = Lock()

    def __getitem__(self, name: str) -> Tap:
        with self._lock:  # a tap is made once, even where two threads ask for it
            if name not in self._taps:
                self._taps[name] = self._tap(name)
            return self._taps[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._selection.tensors)

    def __len__(self) -> int:
        return len(self._selection.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._selection.tensors

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def _tap(self, name: str) -> Tap:
        found = self._collectors.pop(name, None) or collector(self._selection, name)
        for counters, counts in self._counts.items():
            if name in counters.tallies:
                found.add_counted(counts.counted(name))
            for value in self._selection.clips.get(name, ()):
                if value + CLIPPED in counters.flags:
                    found.add_clipped(*counts.flag(value + CLIPPED))
        return found.tap()


def collector(selection: Selection, name: str) -> Collector:
    """The Collector of a tensor, before anything is observed."""
    s = selection.tensors[name]
    return Collector(s.name, s.node, s.format, s.specs)


def overflow_of(
    lowered: Lowered,
    layer: Layer,
    results: Sequence[Array | None],
    values: Mapping[str, Array],
    events: int = ALL_EVENTS,
) -> Overflow:
    """The Overflow record of a MAC layer's results, of the adders whose bits are in `events`."""
    sums, overflowed = results[0], results[1] if len(results) > 1 else None
    assert sums is not None, "a MAC layer has sums"
    axis = 1 if layer.op in CONVS else -1
    if overflowed is None:
        return Overflow(0, np.zeros(sums.shape[axis] if sums.ndim else 1, np.int64), None, None)

    def value(at: tuple[int, ...]) -> tuple[str, int]:
        constant = constant_codes(lowered, layer, 1)
        w = values[layer.inputs[1]] if constant is None else constant
        return first_misfit(layer, values[layer.inputs[0]], w, at, events)

    return count_overflows(overflowed & events, axis, value)
