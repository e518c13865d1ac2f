"""Checkpoints: tensors and numbers of a run in one safetensors file, written at once; nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from intsim.errors import MissingDependency, UnusableInput
from intsim.files import write_file

MOMENTUM = "momentum_buffer"
"""What SGD keeps of a parameter."""


def save_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer, known: Mapping[str, Any]) -> None:
    """Write the network's state, the optimizer's momentum and what else is known (JSON) of a run."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        if MOMENTUM in optimizer.state[parameter]:
            tensors[f"momentum.{name}"] = optimizer.state[parameter][MOMENTUM]
    write_file(path, tensor_bytes(tensors, {key: json.dumps(value) for key, value in known.items()}))


def load_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Put a checkpoint into network and optimizer; returns what else was known.

    Errors: UnusableInput for a file of another kind, or of another network.
    """
    tensors, known = read_tensors(path)
    state = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(state)) or [n for n, value in own.items() if value.shape != state[n].shape]
    if wrong:
        raise UnusableInput(f"{path}: is of another network: {wrong[0]!r} differs; give another folder")
    network.load_state_dict(state)
    for name, parameter in network.named_parameters():
        if f"momentum.{name}" in tensors:
            optimizer.state[parameter][MOMENTUM] = tensors[f"momentum.{name}"]
    return {key: json.loads(value) for key, value in known.items()}


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file, which holds tensors in C order only. Errors: MissingDependency."""
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise _missing() from error
    made: bytes = save({name: tensor.contiguous() for name, tensor in tensors.items()}, metadata)
    return made


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and its metadata. Errors: UnusableInput, MissingDependency."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise _missing() from error
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except Exception as error:  # its errors have no common class of their own
        raise UnusableInput(f"{path}: not a readable safetensors file ({str(error)[:100]})") from error


def _missing() -> MissingDependency:
    return MissingDependency("checkpoints need safetensors, which is not installed: pip install 'intsim[torch]'")
