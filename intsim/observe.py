"""Observe: taps on the layers of a network while something computes them, kernels or the spec alike."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.formats import Format
from intsim.lowering.lowered import CONVS, Layer, Lowered
from intsim.ranges import MAC_OPS, constant_operand
from intsim.summation import ALL_EVENTS
from intsim.sums import first_misfit
from intsim.taps import Collector, Counted, Overflow, Tap, TapSpec, count_clipped, count_overflows

Array = np.ndarray[Any, Any]

Call = Callable[[Layer, Sequence[Array], Mapping[str, Any]], Array]
"""Computes a layer from its operands, with other parameters than its own."""

EXTRA_BITS = 2
"""With so many more bits, signed, a result that its format clips is still outside the format, on the same side."""

WIDEST = 64


class Observer:
    """Takes the taps of one run: it is shown each layer's results, batch by batch, in topological order.

    overflows: by tensor, the sums behind it that left their accumulator, whether a tap asks for them or not.
    Errors: UnusableInput for a tap that fits no tensor.
    """

    def __init__(self, lowered: Lowered, specs: Sequence[TapSpec], call: Call) -> None:
        self._lowered = lowered
        self._call = call
        self.overflows: dict[str, int] = {}
        self._tensor_of = {accumulator: tensor for tensor, accumulator in lowered.accumulators.items()}
        self._collectors = select(lowered, specs)
        self._by_accumulator = {
            accumulator: self._collectors[tensor]
            for accumulator, tensor in self._tensor_of.items()
            if tensor in self._collectors
        }
        self._by_clipping: dict[str, list[Collector]] = {}
        for name, collector in self._collectors.items():
            for layer in clipping_layers(lowered, name) if "saturation" in collector.specs else ():
                self._by_clipping.setdefault(layer.outputs[0], []).append(collector)

    @cached_property
    def shown(self) -> frozenset[str]:
        """The values that it has to be shown as arrays."""
        accumulators = {
            name for name, c in self._by_accumulator.items() if "accumulator" in c.specs or "overflow" in c.specs
        }
        sums = set(self._lowered.accumulators.values())
        arrays = {name for name, c in self._collectors.items() if "codes" in c.specs or name in sums}
        return frozenset(arrays | accumulators)

    @cached_property
    def counted(self) -> Mapping[str, tuple[bool, bool]]:
        """The values of which counts will do; whether each takes a histogram, and whether one for each image."""
        found = {}
        for name, collector in self._collectors.items():
            kinds = collector.specs
            if not kinds.keys() & {"histogram", "extremes", "saturation"} or name in self.shown:
                continue
            found[name] = "histogram" in kinds, "histogram" in kinds and kinds["histogram"].per_image
        return found

    @cached_property
    def clipping(self) -> frozenset[str]:
        """The values whose layers' clipped results are counted."""
        return frozenset(self._by_clipping)

    def count(self, name: str, counted: Counted) -> None:
        """Observe what was counted of a value."""
        self._collectors[name].add_counted(counted)

    def clip(self, name: str, low: int, high: int) -> None:
        """Observe how many results a layer clipped at each end."""
        for collector in self._by_clipping[name]:
            collector.add_clipped(low, high)

    def given(self, name: str, codes: Array) -> None:
        """Observe a value that was given, not computed."""
        if name in self._collectors:
            self._collectors[name].add_codes(codes)

    def observe(
        self, layer: Layer, results: Sequence[Array | None], values: Mapping[str, Array], clipped: bool = False
    ) -> None:
        """Observe a layer's results (of a MAC layer: the sums and where they overflowed, None for nowhere).

        clipped: what it clipped is told by `clip`, so it is not computed once more to find out.
        """
        name, result = layer.outputs[0], results[0]
        assert result is not None, "only the mask may be missing"
        if name in self._collectors:
            self._collectors[name].add_codes(result)
        if name in self._by_accumulator:
            collector = self._by_accumulator[name]
            if "accumulator" in collector.specs:
                format = self._lowered.values[name]
                assert format is not None, "an accumulator has a format"
                collector.add_accumulator(result, format)
            if "overflow" in collector.specs:
                collector.add_overflow(overflow_of(self._lowered, layer, results, values), len(result))
        if layer.op in MAC_OPS and len(results) > 1 and results[1] is not None:
            count = int(np.count_nonzero(results[1]))
            tensor = self._tensor_of.get(name, name)
            if count:
                self.overflows[tensor] = self.overflows.get(tensor, 0) + count
        if name in self._by_clipping and not clipped:
            self.clip(name, *self._clipped(layer, values))

    def taps(self) -> dict[str, Tap]:
        """The taps, by tensor name, in topological order."""
        return {name: collector.tap() for name, collector in self._collectors.items()}

    def _clipped(self, layer: Layer, values: Mapping[str, Array]) -> tuple[int, int]:
        """How many results the layer clips at each end: it is computed once more, with more bits."""
        format = self._lowered.values[layer.outputs[0]]
        assert format is not None, "a layer with bits makes codes"
        bits = min(int(layer.parameters["bits"]) + EXTRA_BITS, WIDEST)
        wide = {**layer.parameters, "bits": bits, "signed": True, "narrow": False}
        own = replace(format, narrow=bool(layer.parameters.get("narrow", False)))  # NNgen's is narrow in any format
        return count_clipped(self._call(layer, [values[n] for n in layer.inputs], wide), own)


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
        constant = constant_operand(lowered, layer, 1)
        w = values[layer.inputs[1]] if constant is None else constant
        return first_misfit(layer, values[layer.inputs[0]], w, at, events)

    return count_overflows(overflowed & events, axis, value)


def clipping_layers(lowered: Lowered, name: str) -> list[Layer]:
    """The layers that round and clip on the way to a tensor: the one that makes it, or those behind steps inside it."""
    layer = lowered.producer(name)
    if layer is None or layer.op in MAC_OPS:
        return []
    if "bits" in layer.parameters:
        return [layer]
    inside = [n for n in layer.inputs if n.startswith(f"{name}#")]
    return [found for n in dict.fromkeys(inside) for found in clipping_layers(lowered, n)]


def select(lowered: Lowered, specs: Sequence[TapSpec]) -> dict[str, Collector]:
    """The tensors that the taps ask for, each with its collector, in topological order."""
    if not specs:
        return {}
    tensors = tappable(lowered)
    wanted: dict[str, list[TapSpec]] = {}
    for spec in specs:
        matching = [name for name, (node, _) in tensors.items() if spec.matches(name, node)]
        fitting = [name for name in matching if _fits(lowered, spec.kind, name, tensors[name][1])]
        if not fitting:
            raise UnusableInput(_no_fit(spec, matching, list(tensors)))
        for name in fitting:
            wanted.setdefault(name, []).append(spec)
    return {
        name: Collector(name, node, format, wanted[name]) for name, (node, format) in tensors.items() if name in wanted
    }


def tappable(lowered: Lowered) -> dict[str, tuple[str, Format | None]]:
    """The tensors that a tap can name: node and Format of each; None where only its accumulator holds integers."""
    tensors: dict[str, tuple[str, Format | None]] = {
        name: ("", lowered.values[name]) for name in lowered.inputs if lowered.values[name] is not None
    }
    for layer in lowered.layers:
        for name in layer.outputs:
            if layer.op != "constant" and (lowered.values[name] is not None or name in lowered.accumulators):
                tensors[name] = (layer.node, lowered.values[name])
    return tensors


def _fits(lowered: Lowered, kind: str, name: str, format: Format | None) -> bool:
    return name in lowered.accumulators if kind in ("accumulator", "overflow") else format is not None


def _no_fit(spec: TapSpec, matching: list[str], names: list[str]) -> str:
    if matching:
        what = "has no accumulator" if spec.kind in ("accumulator", "overflow") else "holds no codes"
        return f"tap {spec.kind}@{spec.pattern}: tensor {matching[0]!r} {what}; take another tensor or another tap"
    close = difflib.get_close_matches(spec.pattern, names, n=3) or [n for n in names if "#" not in n][:3]
    return f"tap {spec.kind}@{spec.pattern}: no tensor of that name; there are {', '.join(close)}"
