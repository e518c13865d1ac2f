"""Training: a PyTorch network becomes a quantized one whose forward pass is the integer engine's arithmetic."""

from __future__ import annotations
