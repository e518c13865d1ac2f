"""A recipe: the numbers of a training run, from Python or from a table of a TOML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from intsim.errors import UnusableInput

SCHEDULES = ("cosine", "constant")
"""How the learning rate goes on: by half a cosine to zero, or not at all."""


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent with momentum.

    rate: the first learning rate. decay: of the weights. checkpoint: seconds between two states on the disk.
    Errors: UnusableInput for numbers of no use.
    """

    epochs: int = 10
    rate: float = 1e-3
    momentum: float = 0.9
    decay: float = 0.0
    schedule: str = "cosine"
    checkpoint: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise UnusableInput(f"recipe: epochs must be an integer of 1 or more, not {self.epochs!r}")
        for name, low, high in (
            ("rate", 0, math.inf),
            ("momentum", 0, 1),
            ("decay", 0, 1),
            ("checkpoint", 0, math.inf),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < high:
                raise UnusableInput(f"recipe: {name} must be a number from {low} to below {high}, not {value!r}")
        if self.schedule not in SCHEDULES:
            raise UnusableInput(f"recipe: schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")

    def rate_at(self, share: float) -> float:
        """The learning rate where that share of all steps is done."""
        return self.rate * (1 + math.cos(math.pi * share)) / 2 if self.schedule == "cosine" else self.rate

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON and TOML; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The Recipe that a table describes. Errors: UnusableInput for an unknown key or a value of no use."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise UnusableInput(f"recipe: unknown key {unknown[0]!r}; one of {', '.join(known)}")
        return cls(**data)
