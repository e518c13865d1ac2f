"""Hypothesis for every test: the same examples each time, and no clock, because a first call compiles.

Tests that ONNX Runtime judges are skipped on processors for which the target `onnxruntime` is not defined.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.processor import has_vnni

settings.register_profile("intsim", deadline=None, derandomize=True)
settings.load_profile("intsim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is judged by ONNX Runtime where its integer kernels are not those of the target `onnxruntime`."""
    if has_vnni():
        return
    reason = "without VNNI, ONNX Runtime's 8-bit kernels may saturate sums of products in 16 bits"
    for item in items:
        if item.get_closest_marker("onnxruntime"):
            item.add_marker(pytest.mark.skip(reason=reason))
