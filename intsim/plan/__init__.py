"""Plan: which kernel runs each layer, proved from the ranges, and how long each value is kept."""

from __future__ import annotations

from intsim.plan.choose import Choice
from intsim.plan.plan import Plan, make_plan

__all__ = ["Choice", "Plan", "make_plan"]
