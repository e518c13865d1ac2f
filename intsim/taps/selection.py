"""Selection: the tensors that taps ask for, and what has to be shown or counted for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from intsim.errors import UnknownName, UnusableInput, near
from intsim.formats import Format
from intsim.lowering.lowered import MAC_LAYERS, Layer, Lowered
from intsim.taps.tap import TapSpec


@dataclass(frozen=True)
class Selected:
    """A tensor, the node that makes it, its Format (None: only its accumulator holds integers), its taps by kind."""

    name: str
    node: str
    format: Format | None
    specs: Mapping[str, TapSpec]


class Selection:
    """What taps select of a network; it depends on no run and is never changed.

    tensors: by name, in topological order. by_accumulator: raw accumulator -> its tensor. clips: tensor -> the values
    of the layers whose clipped results are its own.
    Errors: UnusableInput for a tap that fits no tensor.
    """

    def __init__(self, lowered: Lowered, specs: Sequence[TapSpec]) -> None:
        self._sums = frozenset(lowered.accumulators.values())
        self.tensors = select(lowered, specs)
        self.by_accumulator = {
            accumulator: tensor for tensor, accumulator in lowered.accumulators.items() if tensor in self.tensors
        }
        self.clips = {
            name: tuple(layer.outputs[0] for layer in clipping_layers(lowered, name))
            for name, selected in self.tensors.items()
            if "saturation" in selected.specs
        }

    @cached_property
    def shown(self) -> frozenset[str]:
        """The values that have to be shown as arrays."""
        accumulators = {
            name
            for name, tensor in self.by_accumulator.items()
            if self.tensors[tensor].specs.keys() & {"accumulator", "overflow"}
        }
        arrays = {name for name, s in self.tensors.items() if "codes" in s.specs or name in self._sums}
        return frozenset(arrays | accumulators)

    @cached_property
    def counted(self) -> Mapping[str, tuple[bool, bool]]:
        """The values of which counts will do; whether each takes a histogram, and whether one for each image."""
        found = {}
        for name, selected in self.tensors.items():
            kinds = selected.specs
            if not kinds.keys() & {"histogram", "extremes", "saturation"} or name in self.shown:
                continue
            found[name] = "histogram" in kinds, "histogram" in kinds and kinds["histogram"].per_image
        return found

    @cached_property
    def clipping(self) -> Mapping[str, tuple[str, ...]]:
        """The values whose layers' clipped results are counted -> the tensors that they count for."""
        found: dict[str, list[str]] = {}
        for name, values in self.clips.items():
            for value in values:
                found.setdefault(value, []).append(name)
        return {value: tuple(names) for value, names in found.items()}


def clipping_layers(lowered: Lowered, name: str) -> list[Layer]:
    """The layers that round and clip on the way to a tensor: the one that makes it, or those of steps inside it."""
    layer = lowered.producer(name)
    if layer is None or layer.op in MAC_LAYERS:
        return []
    if "bits" in layer.parameters:
        return [layer]
    inside = [n for n in layer.inputs if n.startswith(f"{name}#")]
    return [found for n in dict.fromkeys(inside) for found in clipping_layers(lowered, n)]


def select(lowered: Lowered, specs: Sequence[TapSpec]) -> dict[str, Selected]:
    """The tensors that the taps ask for, in topological order."""
    if not specs:
        return {}
    tensors = tappable(lowered)
    wanted: dict[str, list[TapSpec]] = {}
    for asked in specs:
        spec = replace(asked, pattern=lowered.outputs.get(asked.pattern, asked.pattern))  # an output shows its codes
        matching = [name for name, (node, _) in tensors.items() if spec.matches(name, node)]
        fitting = [name for name in matching if _fits(lowered, spec.kind, name, tensors[name][1])]
        if not fitting:
            raise _no_fit(spec, matching, tensors)
        for name in fitting:
            wanted.setdefault(name, []).append(spec)
    return {
        name: Selected(name, node, format, {spec.kind: spec for spec in wanted[name]})
        for name, (node, format) in tensors.items()
        if name in wanted
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


def _no_fit(spec: TapSpec, matching: list[str], tensors: Mapping[str, tuple[str, Format | None]]) -> UnusableInput:
    if matching:
        what = "has no accumulator" if spec.kind in ("accumulator", "overflow") else "holds no codes"
        return UnusableInput(
            f"tap {spec.kind}@{spec.pattern}: tensor {matching[0]!r} {what}; take another tensor or another tap"
        )
    known = [*(n for n in tensors if "#" not in n), *(node for node, _ in tensors.values() if node)]
    return UnknownName(
        f"tap {spec.kind}@{spec.pattern}: no tensor or node of that name; there are {near(spec.pattern, known)}"
    )
