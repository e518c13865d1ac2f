"""What ONNX Runtime's integer kernels compute on this processor."""

from __future__ import annotations

from pathlib import Path


def has_vnni() -> bool:
    """Whether the processor has VNNI, as Linux says; where nothing is said, no."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_vnni" in flags or "avx_vnni" in flags


ONNXRUNTIME = "onnxruntime" if has_vnni() else "onnxruntime-avx2"
"""The target that ONNX Runtime judges here."""
