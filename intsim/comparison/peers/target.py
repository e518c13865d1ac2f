"""The peer `target:NAME`: the same graph on another target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.comparison.peers.peer import all_tensors, taps_of_codes
from intsim.target import find_target

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]


class TargetPeer:
    """The codes of the same graph under another target's arithmetic."""

    floating = False

    def __init__(self, model: Model, threads: int | None) -> None:
        self.model = model
        self.threads = threads
        self.name = f"target {model.target.name}"

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """The codes of every tensor, and the outputs."""
        return all_tensors(self.model.run(inputs, taps=taps_of_codes(self.model.lowered), threads=self.threads))


def open_peer(model: Model, argument: str, threads: int | None) -> TargetPeer:
    """The peer for a named target or a .toml file. Errors: UnusableInput, UnsupportedOp."""
    return TargetPeer(model.with_target(find_target(argument)), threads)
