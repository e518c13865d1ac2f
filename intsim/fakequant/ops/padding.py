"""ONNX's pads in torch's order."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def padded(x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """x with ONNX's pads (all begins, then all ends) of a constant value; torch wants the last axis first."""
    half = len(pads) // 2
    flat = [p for axis in reversed(range(half)) for p in (pads[axis], pads[half + axis])]
    return functional.pad(x, flat, value=value) if any(flat) else x
