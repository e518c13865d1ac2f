"""Lowering: Graph x Target -> Lowered; one op family a file, one requantizer a file."""

from __future__ import annotations

from intsim.lowering.lower import lower
from intsim.lowering.lowered import Layer, Lowered, accumulator_of

__all__ = ["Layer", "Lowered", "accumulator_of", "lower"]
