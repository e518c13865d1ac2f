"""How many bits each tensor gets: one number, or numbers by the names of layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from intsim.errors import UnusableInput

WIDTHS = range(2, 17)
"""The widths of codes."""

Asked = int | Mapping[str, int]
"""Bits of everything, or by a glob of names; where several match, the last one counts."""


class Bits:
    """The widths asked for, of weights, activations and biases each; `of` looks one up.

    Errors: UnusableInput for a width that is none of WIDTHS.
    """

    def __init__(self, bits: Asked, **kinds: Asked | None) -> None:
        self.asked = {kind: bits if asked is None else asked for kind, asked in kinds.items()}
        for kind, asked in self.asked.items():
            for width in asked.values() if isinstance(asked, Mapping) else [asked]:
                if isinstance(width, bool) or not isinstance(width, int) or width not in WIDTHS:
                    raise UnusableInput(f"{kind}: bits must be {WIDTHS[0]} to {WIDTHS[-1]}, not {width!r}")

    def of(self, kind: str, name: str) -> int:
        """The bits of a layer's weights, activations or bias. Errors: UnusableInput where no pattern matches it."""
        asked = self.asked[kind]
        if isinstance(asked, int):
            return asked
        found = [width for pattern, width in asked.items() if fnmatchcase(name, pattern)]
        if not found:
            raise UnusableInput(
                f"{kind}: no pattern of {', '.join(asked)} matches layer {name!r}; put '*': BITS first, for the rest"
            )
        return found[-1]

    def check_used(self, names: Iterable[str]) -> None:
        """Errors: UnusableInput for a pattern that matches none of the layers."""
        names = tuple(names)
        for kind, asked in self.asked.items():
            for pattern in asked if isinstance(asked, Mapping) else ():
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise UnusableInput(f"{kind}: pattern {pattern!r} matches no layer; layers: {', '.join(names)}")
