"""Post-training quantization: shared exponents and truncation points for a float ONNX network."""

from __future__ import annotations

from intsim.quantization.post_training import BiasRow, QuantizationResult, TensorReport, quantize_model
from intsim.quantization.prepare import float_input

__all__ = ["BiasRow", "QuantizationResult", "TensorReport", "float_input", "quantize_model"]
