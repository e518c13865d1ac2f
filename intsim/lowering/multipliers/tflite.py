"""TFLite's multipliers and shifts, which CMSIS-NN takes over."""

from __future__ import annotations

import math

from intsim.errors import OutOfDomain
from intsim.lowering.multipliers.normalized import normalized


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
