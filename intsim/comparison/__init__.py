"""Comparison: a model against a peer, tensor by tensor: where it first differs, by how much, and why."""

from __future__ import annotations

from intsim.comparison.comparison import Comparison
from intsim.comparison.differences import TensorDifference
from intsim.comparison.session import compare

__all__ = ["Comparison", "TensorDifference", "compare"]
