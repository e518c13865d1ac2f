"""Explanation: the steps that lead to one element, as values, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from intsim.formats import Format

Coordinate = tuple[int, ...]


@dataclass(frozen=True)
class Read:
    """An element that a step reads: its tensor, its coordinate in the whole run, its code (or real)."""

    tensor: str
    at: Coordinate
    value: int | float

    def to_dict(self) -> dict[str, Any]:
        """The entry of `reads`."""
        return {"tensor": self.tensor, "at": list(self.at), "value": self.value}


@dataclass(frozen=True)
class Line:
    """One intermediate number: its name, its value, and how it comes from those before."""

    name: str
    value: int | float
    how: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The entry of `lines`."""
        return {"name": self.name, "value": self.value, "how": self.how}


@dataclass(frozen=True)
class Step:
    """One layer's part: the function `op` of the target's arithmetic at one coordinate.

    reads: the elements that it needs, but for those in `terms`. terms: the summands of a sum in their order, one
    mapping each; the last key is the sum so far. lines: the numbers after them. rules: what each rounding rule would
    have made of it. value: the result. engine: what the engine computed there, None where it shows no such value.
    """

    tensor: str
    op: str
    at: Coordinate
    value: int | float
    reads: tuple[Read, ...] = ()
    terms: tuple[Mapping[str, Any], ...] = ()
    lines: tuple[Line, ...] = ()
    rules: Mapping[str, int] = field(default_factory=dict)
    engine: int | None = None

    @property
    def equal(self) -> bool:
        """Whether the engine computed the same."""
        return self.engine is None or self.engine == self.value

    def to_dict(self) -> dict[str, Any]:
        """The entry of `steps`."""
        return {
            "tensor": self.tensor,
            "op": self.op,
            "at": list(self.at),
            "reads": [read.to_dict() for read in self.reads],
            "terms": [dict(term) for term in self.terms],
            "lines": [line.to_dict() for line in self.lines],
            "rules": dict(self.rules),
            "value": self.value,
            "engine": self.engine,
            "equal": self.equal,
        }


@dataclass(frozen=True)
class Explanation:
    """How the element `at` of a tensor comes about, from the inputs of its node on; steps in order of computation.

    node: the graph node's name, op: its op; both "" for an input that was given. format: of the tensor.
    """

    tensor: str
    at: Coordinate
    target: str
    node: str
    op: str
    format: Format
    value: int
    steps: tuple[Step, ...]

    @property
    def equal(self) -> bool:
        """Whether the engine computed the same at every step."""
        return all(step.equal for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `explain --json`."""
        return {
            "tensor": self.tensor,
            "index": list(self.at),
            "target": self.target,
            "node": self.node,
            "op": self.op,
            "format": self.format.to_dict(),
            "value": self.value,
            "equal": self.equal,
            "steps": [step.to_dict() for step in self.steps],
        }
