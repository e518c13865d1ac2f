"""ONNX Runtime is the judge here: it must be there, and on a processor for which the target is defined."""

from __future__ import annotations

from pathlib import Path

import pytest


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
