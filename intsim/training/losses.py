"""What training makes small: the distance to the float network's outputs (no labels), or to the labels, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from intsim.errors import UnusableInput

NAMES = ("mcl", "ce")
"""The losses by name."""


@dataclass(frozen=True)
class Loss:
    """The weighted sum mcl * MCL + ce * CE.

    MCL = mean((y - z)**2), y the float network's outputs and z the quantized one's (DiffQuant); divided by the variance
    of y over the batch and all outputs if `normalized`, so that one learning rate serves networks of any scale.
    CE: the cross entropy of z and the labels.
    """

    mcl: float = 1.0
    ce: float = 0.0
    normalized: bool = False

    @property
    def needs_labels(self) -> bool:
        """Whether labels take part."""
        return self.ce != 0

    def __call__(self, z: Tensor, y: Tensor, labels: Tensor | None) -> Tensor:
        """The loss of a batch, a scalar. z, y: f32[N, outputs]; labels: int64[N], None where they take no part."""
        total = torch.zeros((), dtype=z.dtype)
        if self.mcl:
            distance = functional.mse_loss(z, y)
            total = total + self.mcl * (distance / y.var(unbiased=False) if self.normalized else distance)
        if self.ce:
            assert labels is not None, "needs_labels says so"
            total = total + self.ce * functional.cross_entropy(z, labels)
        return total


def loss_of(asked: str | Mapping[str, float] | Loss) -> Loss:
    """The Loss of a name, or of weights by name. Errors: UnusableInput for unknown names or weights of no use."""
    if isinstance(asked, Loss):
        return asked
    weights = {asked: 1.0} if isinstance(asked, str) else dict(asked)
    for name, weight in weights.items():
        if name not in NAMES:
            raise UnusableInput(f"loss must be of {', '.join(NAMES)}, not {name!r}")
        if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise UnusableInput(f"loss {name}: its weight must be 0 or more, not {weight!r}")
    if not any(weights.values()):
        raise UnusableInput("loss: one weight at least must be above 0")
    return Loss(weights.get("mcl", 0.0), weights.get("ce", 0.0))
