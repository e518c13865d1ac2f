"""TFLite's multipliers and shifts, which CMSIS-NN takes over."""

from __future__ import annotations

import math

import numpy as np

from intsim.errors import OutOfDomain
from intsim.lowering.multipliers.normalized import normalized


def real_multiplier(x_scale: np.float32, w_scale: np.float32, y_scale: np.float32) -> float:
    """x_scale * w_scale / y_scale in float64, left to right: of one channel of a convolution.

    Source: tflite-micro, tensorflow/lite/kernels/kernel_util.cc, PopulateConvolutionQuantizationParams. LiteRT 2.3's
    fully connected layer has this order too (by experiment).
    """
    return float(np.float64(x_scale) * np.float64(w_scale) / np.float64(y_scale))


def real_multiplier_of_product(x_scale: np.float32, w_scale: np.float32, y_scale: np.float32) -> float:
    """float32(x_scale * w_scale) / y_scale, the quotient in float64: of tflite-micro's fully connected layer.

    Source: tflite-micro, tensorflow/lite/kernels/kernel_util.cc, GetQuantizedConvolutionMultipler.
    """
    return float(np.float64(np.float32(x_scale) * np.float32(w_scale)) / np.float64(y_scale))


def quantize_multiplier(real: float, *, single_rounding: bool = False) -> tuple[int, int]:
    """(multiplier, shift), shift to the LEFT: real is next to multiplier * 2**(shift - 31).

    m = half_away(fraction * 2**31) of C's frexp; 2**31 becomes 2**30 and one more shift. A shift below -31 gives
    (0, 0). With single_rounding a shift above 30 gives (2**31 - 1, 30). Zero gives (0, 0).
    Errors: OutOfDomain unless real is finite and not negative.
    Source: tflite-micro, tensorflow/lite/kernels/internal/quantization_util.cc, QuantizeMultiplier (without
    TFLITE_EMULATE_FLOAT, which rounds half to zero on the 31 bits). CMSIS-NN's test generator
    (Tests/UnitTest/RefactoredTestGen/Lib/op_utils.py, quantize_scale) has Python's round, half to even, and no limits.
    """
    if not (math.isfinite(real) and real >= 0):
        raise OutOfDomain(f"a multiplier must be finite and not negative, not {real!r}")
    if real == 0:
        return 0, 0
    multiplier, shift = normalized(real, 31)
    if shift < -31:
        return 0, 0
    if single_rounding and shift > 30:
        return 2**31 - 1, 30
    return multiplier, shift
