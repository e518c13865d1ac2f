"""Hypothesis for every test: the same examples each time, and no clock, because a first call compiles.

Tests that ONNX Runtime judges are skipped on processors for which the target `onnxruntime` is not defined. Tests marked
`release` run with `--release` only, as tools/conformance.py calls them.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.processor import has_vnni

settings.register_profile("intsim", deadline=None, derandomize=True)
settings.load_profile("intsim")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option --release."""
    parser.addoption("--release", action="store_true", help="run what is marked `release` too: every configuration")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for a release, and skip what ONNX Runtime cannot judge on this processor."""
    if not config.getoption("--release"):
        later = [item for item in items if item.get_closest_marker("release")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if not item.get_closest_marker("release")]
    if has_vnni():
        return
    reason = "without VNNI, ONNX Runtime's 8-bit kernels may saturate sums of products in 16 bits"
    for item in items:
        if item.get_closest_marker("onnxruntime"):
            item.add_marker(pytest.mark.skip(reason=reason))
