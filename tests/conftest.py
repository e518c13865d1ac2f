"""Hypothesis for every test: the same examples each time, and no clock, because a first call compiles."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("intsim", deadline=None, derandomize=True)
settings.load_profile("intsim")
