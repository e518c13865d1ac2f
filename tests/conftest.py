"""Hypothesis for every test: the same examples each time, and no clock, because a first call compiles.

Tests that ONNX Runtime judges are skipped on processors for which the target `onnxruntime` is not defined.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("intsim", deadline=None, derandomize=True)
settings.load_profile("intsim")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is judged by ONNX Runtime where its integer kernels are not those of the target `onnxruntime`."""
    if _has_vnni():
        return
    reason = "without VNNI, ONNX Runtime's 8-bit kernels may saturate sums of products in 16 bits"
    for item in items:
        if item.get_closest_marker("onnxruntime"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _has_vnni() -> bool:
    """Whether the processor has VNNI, as Linux says; where nothing is said, no."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags
