"""Result: what a run of a model gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.graph import find_tensor
from intsim.islands.environment import standard_floats
from intsim.run.notebook import table_html
from intsim.taps.tap import TAPS, Tap

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Output:
    """One output of a network. format: None where it is computed in float. values: its codes, or its float32 reals.

    aliases: other names of it: the tensor that holds its codes, the node that makes it.
    """

    name: str
    format: Format | None
    values: Array
    aliases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: name, shape, format."""
        return f"Output({self.name!r}, {_shape(self.values)}, {self.format or 'float32'})"

    @property
    def codes(self) -> Array | None:
        """Integers in the smallest dtype that holds the format; None where the output is computed in float."""
        return None if self.format is None else self.values

    @property
    @standard_floats()
    def real(self) -> Array:
        """The output's reals, float32: scale * (code - zero_point)."""
        return self.values if self.format is None else self.format.real(self.values)


class Outputs(Mapping[str, Output]):
    """The outputs by the graph's names; the name of the tensor of codes or of the node finds an output as well."""

    def __init__(self, outputs: Mapping[str, Output]) -> None:
        self._outputs = outputs

    def __getitem__(self, name: str) -> Output:
        names = {own: output.aliases for own, output in self._outputs.items()}
        return self._outputs[find_tensor(name, names, "output")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        """The names."""
        return f"Outputs({', '.join(self._outputs)})"


class Taps(Mapping[str, Tap]):
    """The taps by tensor name; a node's name finds the tap of its tensor as well, where only one is tapped."""

    def __init__(self, taps: Mapping[str, Tap]) -> None:
        self._taps = taps

    def __getitem__(self, name: str) -> Tap:
        return self._taps[find_tensor(name, {own: (tap.node,) for own, tap in self._taps.items()}, "tap on")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._taps)

    def __len__(self) -> int:
        return len(self._taps)

    def __repr__(self) -> str:
        """How many there are, and the first names."""
        more = ", …" if len(self._taps) > NAMES else ""
        return f"Taps({len(self._taps)}: {', '.join(list(self._taps)[:NAMES])}{more})"


NAMES = 4
"""Names that a repr shows."""


@dataclass(frozen=True)
class Result:
    """What a run gives back.

    outputs: by graph output name. taps: by tensor name (or node name). images: how many were run.
    overflows: by tensor name, how many of its sums left their accumulator; tensors without any are left out.
    """

    outputs: Mapping[str, Output]
    taps: Taps
    images: int
    overflows: Mapping[str, int]

    def __repr__(self) -> str:
        """Images, outputs and taps, and the overflows where there are any."""
        outputs = ", ".join(f"{o.name} {_shape(o.values)} {o.format or 'float32'}" for o in self.outputs.values())
        overflows = f", overflows in {len(self.overflows)} tensors" if self.overflows else ""
        return f"Result({self.images} images, outputs: {outputs}; {len(self.taps)} taps{overflows})"

    def _repr_html_(self) -> str:
        """The outputs and the taps as a table in a notebook."""
        rows = [("output", o.name, _shape(o.values), o.format or "float32", "") for o in self.outputs.values()]
        taps = [("tap", t.name, "", t.format or "float32", ", ".join(_observed(t))) for t in self.taps.values()]
        lines = [f"{count:,} sums of {name} left their accumulator" for name, count in self.overflows.items()]
        return table_html(f"{self.images} images", ("", "tensor", "shape", "format", "observed"), rows + taps, lines)


def _observed(tap: Tap) -> list[str]:
    """The kinds of what was observed."""
    return [kind for kind in TAPS if getattr(tap, kind) is not None]


def _shape(array: Array) -> str:
    return str(list(array.shape))
