"""An ONNX node as plain Python data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import AttributeProto, NodeProto

from intsim.errors import IntsimError, MalformedGraph, UnsupportedOp
from intsim.importers.onnx.tensors import Array, ElementType, element_type, read_tensor

MICROSOFT = "com.microsoft"
INTSIM = "ai.intsim"
"""The domain of this project's own model-local functions."""


@dataclass(frozen=True)
class OnnxNode:
    """One node of the file. inputs, outputs: tensor names, "" where an optional one is absent.

    attributes: int, float, str, a tuple of these, or for a tensor (array, element type).
    metadata: the node's metadata_props.
    """

    name: str
    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    metadata: Mapping[str, str]

    @property
    def where(self) -> str:
        """How messages name this node."""
        op = f"{self.domain}.{self.op}" if self.domain else self.op
        return f"node {self.name!r} ({op if op.isprintable() else repr(op)})"

    def malformed(self, reason: str) -> IntsimError:
        """The error for a node that breaks ONNX's rules."""
        return MalformedGraph(f"{self.where}: {reason}")

    def unsupported(self, reason: str) -> IntsimError:
        """The error for a node that is right but cannot be taken; the reason says what is supported."""
        return UnsupportedOp(f"{self.where}: {reason}")

    def integer(self, name: str, default: int) -> int:
        """An int attribute."""
        return int(self._typed(name, default, int))

    def real(self, name: str, default: float, *, infinite: bool = False) -> float:
        """A float attribute; the default is rounded to float32, in which ONNX keeps those that are given.

        infinite: whether it may be an infinity; NaN it may never be. Errors: MalformedGraph.
        """
        return self.checked_real(float(np.float32(self._typed(name, default, float))), f"attribute {name}", infinite)

    def checked_real(self, value: float, what: str, infinite: bool = False) -> float:
        """The value. Errors: MalformedGraph where it is NaN, or an infinity that it must not be."""
        if math.isnan(value) or (math.isinf(value) and not infinite):
            raise self.malformed(f"{what} must be a {'' if infinite else 'finite '}number, not {value}")
        return value

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return str(self._typed(name, default, str))

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of ints; None where the attribute is absent."""
        if name not in self.attributes:
            return None
        value = self.attributes[name]
        if not isinstance(value, tuple) or not all(isinstance(v, int) for v in value):
            raise self.malformed(f"attribute {name} must be a list of integers")
        return value

    def reals(self, name: str) -> tuple[float, ...] | None:
        """A list of floats, none of them NaN; None where the attribute is absent."""
        if name not in self.attributes:
            return None
        value = self.attributes[name]
        if not isinstance(value, tuple) or not all(isinstance(v, float) for v in value):
            raise self.malformed(f"attribute {name} must be a list of floats")
        return tuple(self.checked_real(v, f"an element of attribute {name}", infinite=True) for v in value)

    def tensor(self, name: str) -> tuple[Array, ElementType] | None:
        """A tensor and its element type; None where the attribute is absent."""
        if name not in self.attributes:
            return None
        value = self.attributes[name]
        if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[1], ElementType):
            raise self.malformed(f"attribute {name} must be a tensor")
        return value

    def _typed(self, name: str, default: Any, kind: type) -> Any:
        value = self.attributes.get(name, default)
        if not isinstance(value, kind):
            raise self.malformed(f"attribute {name} must be of type {kind.__name__}")
        return value


def read_node(proto: NodeProto, index: int) -> OnnxNode:
    """The node as plain data. A node without a name is called after its first output.

    Errors: UnsupportedOp for an attribute that holds a graph (If, Loop, Scan).
    """
    inputs, outputs = tuple(proto.input), tuple(proto.output)
    name = proto.name or next((o for o in outputs if o), f"{proto.op_type}_{index}")
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    where = f"node {name!r} ({proto.op_type})"
    attributes = {a.name: _attribute(a, where) for a in proto.attribute}
    metadata = {p.key: p.value for p in proto.metadata_props}
    return OnnxNode(name, proto.op_type, domain, inputs, outputs, attributes, metadata)


def _attribute(proto: AttributeProto, where: str) -> Any:
    where = f"{where}: attribute {proto.name!r}"
    if proto.ref_attr_name:
        raise MalformedGraph(f"{where} refers to {proto.ref_attr_name!r}, which only a function may do")
    match proto.type:
        case AttributeProto.INT:
            return int(proto.i)
        case AttributeProto.FLOAT:
            return float(proto.f)
        case AttributeProto.STRING:
            return _text(proto.s, where)
        case AttributeProto.INTS:
            return tuple(int(i) for i in proto.ints)
        case AttributeProto.FLOATS:
            return tuple(float(f) for f in proto.floats)
        case AttributeProto.STRINGS:
            return tuple(_text(s, where) for s in proto.strings)
        case AttributeProto.TENSOR:
            if proto.t.external_data:
                raise UnsupportedOp(f"{where}: external data is supported for initializers only")
            return read_tensor(proto.t, where), element_type(proto.t.data_type, where)
    kind = AttributeProto.AttributeType.Name(proto.type) if proto.type in range(15) else str(proto.type)
    raise UnsupportedOp(f"{where} is of type {kind.lower()}; supported: int, float, string, tensor, and lists")


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedGraph(f"{where} is not UTF-8 text") from None
