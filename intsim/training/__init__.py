"""Training: a PyTorch network becomes a quantized one whose forward pass is the integer engine's arithmetic."""

from __future__ import annotations

from intsim.training.quantize import quantize
from intsim.training.quantized_module import QuantizedModule

__all__ = ["QuantizedModule", "quantize"]
