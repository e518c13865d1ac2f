"""Which requantizers share the arithmetic of what is no MAC layer: elementwise ops, means, codes to codes."""

from __future__ import annotations

from collections.abc import Mapping

FAMILIES: Mapping[str, str] = {
    "shift": "shift",
    "max7800x": "shift",
    "nngen": "shift",
    "float32": "onnxruntime",
    "onnx_reference": "onnxruntime",
    "tflite": "tflite",
    "tflite_single": "tflite",
    "tflite_float64": "tflite",
    "cmsis_nn": "tflite",
    "cmsis_nn_single": "tflite",
    "tosa": "tosa",
    "tosa_single": "tosa",
    "xnnpack_fp32": "xnnpack",
    "xnnpack_rndnu": "xnnpack",
    "nvdla": "quotient",
    "gemmini": "quotient",
    "pulp": "quotient",
}
"""Requantizer -> family. `quotient`: the exact quotient with the target's tie rule, the project's choice where the
target's public sources define nothing."""
