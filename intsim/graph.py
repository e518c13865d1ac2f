"""Graph: a quantized network as frozen data, free of any target.

A node's meaning is its ONNX op on reals; a value with a Format is known by its integer codes. So a `Conv` whose
inputs and output have formats means: quantize(conv(dequantize(x), dequantize(w), dequantize(b))). How a machine
computes that in integers is the target's business (lowering).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intsim.errors import UnknownName, near, shown
from intsim.formats import Format


@dataclass(frozen=True)
class Value:
    """A named tensor. format None: float32 reals. shape: None for an unknown length (usually the batch)."""

    name: str
    shape: tuple[int | None, ...]
    format: Format | None


@dataclass(frozen=True)
class Node:
    """One operation. inputs and outputs are value names ("" for an absent optional input).

    sources: the names of the ONNX nodes that this node stands for (DequantizeLinear, Conv, QuantizeLinear …).
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A quantized network: nodes in topological order over named values.

    constants: codes (integer dtype, where the value has a format) or reals (float32) by value name, read only.
    opset: the ONNX opset of the file. metadata: the file's metadata_props. digest: sha256 of the file, hex.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, np.ndarray[Any, Any]]
    opset: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def format(self, name: str) -> Format | None:
        """The Format of a value, None for reals."""
        return self.values[name].format

    def producer(self, name: str) -> Node | None:
        """The node whose output is `name`, None for inputs and constants."""
        return next((n for n in self.nodes if name in n.outputs), None)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read `name`, in topological order."""
        return tuple(n for n in self.nodes if name in n.inputs)


def find_tensor(name: str, tensors: Mapping[str, Collection[str]], where: str) -> str:
    """The tensor that a user's name means: its own name, or another one (its node's) that only one tensor has.

    tensors: tensor -> its other names. where: how the message begins. A tensor inside a layer (with a `#`) answers to
    its node's name only where no other one does.
    Errors: UnknownName, which names the nearest, or the tensors among which the name does not choose.
    """
    if name in tensors:
        return name
    named = [tensor for tensor, others in tensors.items() if name and name in others]
    found = [tensor for tensor in named if "#" not in tensor] or named
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownName(f"{where} {shown(name)}: that node has {', '.join(found)}; name one of them")
    others = [other for names in tensors.values() for other in names if other]
    outer = [tensor for tensor in tensors if "#" not in tensor]
    raise UnknownName(
        f"{where} {shown(name)}: there is none, by tensor or by node; there are {near(name, [*outer, *others])}"
    )
