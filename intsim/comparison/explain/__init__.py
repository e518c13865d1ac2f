"""Explain: how one element of one tensor comes about, in Python integers: products, sums, roundings."""

from __future__ import annotations

from intsim.comparison.explain.explain import explain
from intsim.comparison.explain.explanation import Explanation, Line, Read, Step

__all__ = ["Explanation", "Line", "Read", "Step", "explain"]
