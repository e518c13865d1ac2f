"""Gemmini's accumulator scaling in its default configuration: accumulator to output code through float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.islands.environment import standard_floats
from intsim.spec import checks
from intsim.spec.float32 import scales, to_float32
from intsim.spec.integers import Integers, as_integers, result
from intsim.spec.saturate import saturate


@standard_floats()
def requantize_gemmini(
    acc: npt.ArrayLike,
    *,
    multiplier: Any,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_even(float32(acc) * multiplier)); conversion and product each rounded to float32.

    acc: int32[N, C, ...]. multiplier: positive float32, scalar or [C] along `axis`. bits (1 to 32), signed, narrow: the
    output format. Gemmini has no output zero point. Returns i64 of acc's shape. Raises OutOfDomain.
    Source: ucb-bar/gemmini, src/main/scala/gemmini/Configs.scala, acc_scale_args of defaultConfig: INToRecFN,
    MulAddRecFN with zero, RecFNToIN, all round_near_even, saturated to int32; then clippedToWidthOf(inputType) in
    AccumulatorScale.scala. The configurations that shift (Arithmetic.scala, SInt's >>, the vxrm rule rne of RISC-V's
    vector extension) are `requantize` with rounding="half_even".
    """
    sums = as_integers(acc, "acc")
    checks.requantized_range(bits, signed, narrow)
    checks.within(sums, *checks.INT32, "acc")
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.rint(to_float32(sums, "acc") * scales(multiplier, axis, sums.shape, "multiplier"))
    whole = np.clip(scaled, np.float32(-(2.0**40)), np.float32(2.0**40)).astype(np.int64)
    return saturate(saturate(result(whole), 32, True), bits, signed, narrow)
