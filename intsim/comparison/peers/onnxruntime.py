"""The peer `onnxruntime`: every tensor of ONNX Runtime's optimized graph of the same file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.comparison.ort_session import BASIC, OrtSession
from intsim.comparison.peers.peer import as_reals
from intsim.errors import UnusableInput

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]


class OnnxRuntimePeer:
    """What ONNX Runtime computes: codes, and the reals around its integer kernels."""

    name = "onnxruntime"
    floating = True

    def __init__(self, model: Model, threads: int | None) -> None:
        self.model = model
        if model.file is None:
            raise UnusableInput("ONNX Runtime runs model files, and this model's formats differ from its file's")
        self.session = OrtSession(model.file, threads=threads or 1)
        if self.session.level == BASIC:
            self.name = "onnxruntime in float"  # what it has for codes of 2 and 4 bits

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """Every tensor of the optimized graph."""
        feeds = as_reals(self.model.graph, self.model.lowered.inputs, inputs)
        return self.session.run({name: feeds[name] for name in self.session.input_names})


def open_peer(model: Model, argument: str, threads: int | None) -> OnnxRuntimePeer:
    """The peer; it takes no argument. Errors: MissingDependency, UnsupportedOp."""
    return OnnxRuntimePeer(model, threads)
