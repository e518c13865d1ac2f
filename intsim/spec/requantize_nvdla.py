"""NVDLA's output converter (SDP): accumulator to output code."""

from __future__ import annotations

import numpy.typing as npt

from intsim.spec import checks
from intsim.spec.integers import Integers, as_integers, multiply, subtract
from intsim.spec.rounding import shift_right
from intsim.spec.saturate import saturate


def requantize_nvdla(
    acc: npt.ArrayLike,
    *,
    multiplier: npt.ArrayLike,
    shift: npt.ArrayLike,
    offset: npt.ArrayLike = 0,
    bits: int,
    signed: bool,
    narrow: bool = False,
    axis: int = 1,
) -> Integers:
    """Output codes: clip(half_away((acc - offset) * multiplier / 2**shift)); shift counts to the RIGHT.

    acc: int32[N, C, ...]. offset: int32; multiplier: int16; shift: 0 to 63; each int, [C] along `axis`, or an array
    that broadcasts (the hardware has one of each a layer). bits (1 to 32; the hardware's are 8 and 16), signed,
    narrow: the output format. Returns i64 of acc's shape. Raises OutOfDomain.
    Source: nvdla/hw, cmod/hls/sdp/sdp_c.cpp, NV_NVDLA_SDP_CORE_c: IntSubExt to 33 bits, IntMulExt to 49,
    IntShiftRightSat to 17, IntSaturation to 16 or 8, widths in sdp.h; nvdla_int.h shifts an ac_fixed exactly and
    assigns it under AC_RND_INF and AC_SAT (nvdla_common.h), half away from zero and saturating, so the 17 bits between
    change nothing. The accumulator before it (CACC, 48 to 32 bits) is `requantize` with rounding="half_away", bits=32.
    """
    acc = as_integers(acc, "acc")
    checks.requantized_range(bits, signed, narrow)
    checks.within(acc, *checks.INT32, "acc")
    factor = checks.channelwise(multiplier, axis, acc.shape, -(2**15), 2**15 - 1, "multiplier")
    amount = checks.channelwise(shift, axis, acc.shape, 0, 63, "shift")
    minus = checks.channelwise(offset, axis, acc.shape, *checks.INT32, "offset")
    return saturate(shift_right(multiply(subtract(acc, minus), factor), amount, "half_away"), bits, signed, narrow)
