"""Peers: what a model is compared with; one peer a file. Each gives codes by ONNX tensor name for the same images."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from intsim.comparison.peers.peer import Peer
from intsim.errors import UnknownName, UnusableInput, near

if TYPE_CHECKING:
    from intsim.model import Model

PEERS = {
    "spec": "spec",
    "target": "target:NAME",
    "onnxruntime": "onnxruntime",
    "torch": "torch or torch:FILE.pt2",
    "golden": "golden:DIR",
    "dump": "dump:DIR",
}
"""Peer -> how it is written on the command line."""

ALIASES = {"ort": "onnxruntime", "pytorch": "torch"}
"""Other ways to write a peer."""

MODULES = {"golden": "recorded", "dump": "recorded"}


def open_peer(against: str, model: Model, threads: int | None = None) -> Peer:
    """The peer that `against` names. Errors: UnusableInput lists the peers; MissingDependency, UnsupportedOp."""
    written, _, argument = against.partition(":")
    kind = ALIASES.get(written, written)
    if kind not in PEERS:
        close = f"; try {near(written, [*PEERS, *ALIASES])}"
        raise UnknownName(f"peer {against!r}: must be one of {', '.join(PEERS.values())}{close}")
    if bool(argument) != (":" in PEERS[kind]) and kind != "torch":
        raise UnusableInput(f"--against {against!r}: must be written {PEERS[kind]}")
    module = importlib.import_module(f"intsim.comparison.peers.{MODULES.get(kind, kind)}")
    peer: Peer = module.open_peer(model, argument, threads)
    return peer


__all__ = ["PEERS", "Peer", "open_peer"]
