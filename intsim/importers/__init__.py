"""Importers: model files -> Graph. One file format a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from intsim.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["load_graph"]


def load_graph(source: str | Path | bytes | ModelProto) -> Graph:
    """The Graph of a quantized ONNX model (QDQ or QOperator), given as a path, as bytes, or parsed.

    Errors: UnusableInput (no such file), MalformedGraph (the file breaks ONNX's rules), UnsupportedOp (what intsim
    does not take); each one line that names the node, the op, the reason and what is supported.
    """
    from intsim.importers.onnx.load import load

    return load(source)
