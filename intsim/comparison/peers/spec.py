"""The peer `spec`: the same lowered network, run by the spec on unbounded integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.comparison.peers.peer import all_tensors, taps_of_codes

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]


class SpecPeer:
    """The codes that intsim.spec gives."""

    name = "spec"
    floating = False

    def __init__(self, model: Model) -> None:
        self.model = model

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """The codes of every tensor, and the outputs."""
        return all_tensors(self.model.run(inputs, taps=taps_of_codes(self.model.lowered), engine="spec"))


def open_peer(model: Model, argument: str, threads: int | None) -> SpecPeer:
    """The peer; it takes no argument."""
    return SpecPeer(model)
