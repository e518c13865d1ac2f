"""The peer `torch`: a PyTorch fake-quant twin of the graph, or an exported program (`torch:FILE.pt2`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim.comparison.peers.peer import as_reals
from intsim.errors import UnusableInput
from intsim.fakequant.exported_program import load_program
from intsim.fakequant.fake_quantized import matched, run_and_collect
from intsim.fakequant.twin import TorchTwin, import_torch

if TYPE_CHECKING:
    from intsim.model import Model

Array = np.ndarray[Any, Any]


class TwinPeer:
    """What the fake-quant twin computes."""

    name = "torch fake-quant"
    floating = True

    def __init__(self, model: Model, threads: int | None) -> None:
        self.model = model
        self.twin = TorchTwin(model.graph, threads or 1)

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """The codes of every quantized tensor, the reals of the others."""
        return self.twin.run(as_reals(self.model.graph, self.model.lowered.inputs, inputs))


class ProgramPeer:
    """An exported PyTorch program: what it fake-quantizes on its way, and its outputs as codes of our output formats.

    Outputs are matched by position, the tensors before them as intsim.fakequant.fake_quantized says.
    """

    floating = True

    def __init__(self, model: Model, path: Path) -> None:
        self.name = path.name
        self.model = model
        self.program = load_program(path)

    def tensors(self, inputs: Mapping[str, Array], first_image: int) -> dict[str, Array]:
        """Codes: half_even(real / scale) + zero_point, as the tensor's quantizer has it."""
        torch = import_torch()
        graph = self.model.graph
        operands = []
        for name, x in as_reals(graph, self.model.lowered.inputs, inputs).items():
            format = graph.format(name)  # of an input that is coded in the file; the program takes its reals
            operands.append(torch.from_numpy(np.array(x if format is None else format.real(x))))
        try:
            with torch.no_grad():
                made, quantized = run_and_collect(torch, self.program, operands)
        except Exception as error:
            raise UnusableInput(f"{self.name}: cannot run on this input ({_line(error)})") from error
        reals = list(made) if isinstance(made, (tuple, list)) else [made]
        outputs = list(self.model.lowered.outputs.values())
        if len(reals) != len(outputs):
            raise UnusableInput(f"{self.name}: {len(reals)} outputs, but the model has {len(outputs)}")
        codes = matched(self.model.lowered, quantized)
        for value, real in zip(outputs, reals, strict=True):
            format = self.model.lowered.values[value]
            if format is not None:
                array = real.detach().numpy().astype(np.float64)
                if not np.isfinite(array).all():
                    raise UnusableInput(f"{self.name}: output {value!r} is not finite, so it has no codes")
                units = np.rint(array / np.float64(format.scale[0]))
                codes[value] = np.clip(units + format.zero_point[0], format.low, format.high).astype(format.dtype)
        return codes


def open_peer(model: Model, argument: str, threads: int | None) -> TwinPeer | ProgramPeer:
    """The twin, or the program in a .pt2 file. Errors: MissingDependency, UnusableInput, UnsupportedOp."""
    return ProgramPeer(model, Path(argument)) if argument else TwinPeer(model, threads)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
