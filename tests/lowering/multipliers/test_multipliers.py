from __future__ import annotations

import math
import struct
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from intsim.errors import OutOfDomain
from intsim.lowering.multipliers import nemo, tflite, tosa, xnnpack


def from_bits(real: float, bits: int) -> tuple[int, int]:
    """The significand out of IEEE 754's bits, rounded half away to `bits` by decimal; normal numbers only."""
    (pattern,) = struct.unpack("<Q", struct.pack("<d", real))
    significand, exponent = (pattern & (2**52 - 1)) | 2**52, (pattern >> 52) - 1022
    with localcontext() as context:
        context.prec = 60
        m = int((Decimal(significand) / Decimal(2 ** (53 - bits))).to_integral_value(ROUND_HALF_UP))
    return (m // 2, exponent + 1) if m == 2**bits else (m, exponent)


REALS = [
    *np.random.default_rng(1).uniform(0, 1, 300).tolist(),
    *(2.0 ** np.random.default_rng(2).uniform(-31, 20, 300)).tolist(),
    *[2.0**e for e in range(-31, 31)],
    1 - 2.0**-53,  # becomes 2**31, and so 2**30 with one more shift
    0.5 + 2.0**-32,  # a tie of the 31 bits: away from zero
    0.5 + 2.0**-31 + 2.0**-32,
    0.5 + 2.0**-32 - 2.0**-53,
]


@pytest.mark.parametrize("single_rounding", [False, True])
def test_quantize_multiplier(single_rounding: bool) -> None:
    for real in REALS:
        m, shift = tflite.quantize_multiplier(real, single_rounding=single_rounding)
        assert 2**30 <= m < 2**31
        if not (single_rounding and from_bits(real, 31)[1] > 30):
            assert (m, shift) == from_bits(real, 31), real
            assert abs(Fraction(m) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= Fraction(1, 2**31)


def test_quantize_multiplier_at_its_limits() -> None:
    assert tflite.quantize_multiplier(0.0) == (0, 0)
    assert tflite.quantize_multiplier(1.0) == (2**30, 1)
    assert tflite.quantize_multiplier(2.0**-32) == (2**30, -31)
    assert tflite.quantize_multiplier(2.0**-33) == (0, 0)
    assert tflite.quantize_multiplier(2.0**-32 * (1 - 2.0**-53)) == (2**30, -31)  # rounded up into the range
    assert tflite.quantize_multiplier(2.0**-32 * (1 - 2.0**-20)) == (0, 0)
    assert tflite.quantize_multiplier(2.0**40) == (2**30, 41)
    assert tflite.quantize_multiplier(2.0**40, single_rounding=True) == (2**31 - 1, 30)
    for real in (-1.0, math.inf, math.nan):
        with pytest.raises(OutOfDomain, match="a multiplier must be finite and not negative"):
            tflite.quantize_multiplier(real)


def test_tosa_is_tflites_with_the_shift_counted_the_other_way() -> None:
    for real in REALS:
        if real < 2.0**29:
            m, shift = tflite.quantize_multiplier(real)
            assert tosa.multiplier_and_shift(real) == (m, 31 - shift)


def test_tosa_at_its_limits() -> None:
    assert tosa.multiplier_and_shift(2.0**-32) == (2**30, 62)
    assert tosa.multiplier_and_shift(3 * 2.0**-34) == (3 << 28, 62)
    assert tosa.multiplier_and_shift(3 * 2.0**-62) == (3, 62)
    assert tosa.multiplier_and_shift(3 * 2.0**-63) == (1, 62)  # floor
    assert tosa.multiplier_and_shift(2.0**-100) == (0, 62)
    assert tosa.multiplier_and_shift(0.75, 16) == (3 << 13, 15)
    assert tosa.multiplier_and_shift(0.5 + 2.0**-16, 16) == (2**14 + 1, 15)  # a tie, away from zero
    assert tosa.multiplier_and_shift(2.0**28) == (2**30, 2)
    with pytest.raises(OutOfDomain, match=r"a scale must be below 2\*\*29, for a shift of 2 or more"):
        tosa.multiplier_and_shift(2.0**29)
    with pytest.raises(OutOfDomain, match=r"below 2\*\*13"):
        tosa.multiplier_and_shift(2.0**13, 16)
    with pytest.raises(OutOfDomain, match="multiplier_bits must be 16 or 32, not 8"):
        tosa.multiplier_and_shift(1.0, 8)
    with pytest.raises(OutOfDomain, match=r"a scale must be positive and finite, not 0\.0"):
        tosa.multiplier_and_shift(0.0)


def test_xnnpack_multiplier_and_shift_is_exact() -> None:
    for scale in (2.0 ** np.random.default_rng(4).uniform(-31.9, 7.9, 200)).astype(np.float32):
        m, shift = xnnpack.multiplier_and_shift(scale)
        assert 2**23 <= m < 2**24
        assert 16 <= shift < 56
        assert Fraction(m, 2**shift) == Fraction(float(scale))
    for bad in (2.0**-33, 256.0):
        with pytest.raises(OutOfDomain, match="XNNPACK's multiplier must be at least"):
            xnnpack.multiplier_and_shift(np.float32(bad))


def test_nemo() -> None:
    rng = np.random.default_rng(5)
    for x, y in (2.0 ** rng.uniform(-20, 0, (200, 2))).tolist():
        if x >= 64 * y:
            with pytest.raises(OutOfDomain, match="the ratio of scales must be below 64"):
                nemo.multiplier_and_shift(x, y)
            continue
        m, shift = nemo.multiplier_and_shift(x, y, longest=64)
        assert 2 ** (shift - 1) < Fraction(32) * Fraction(y) / Fraction(x) <= 2**shift
        with localcontext() as context:
            context.prec = 80
            assert m == int((2**shift * Decimal(x) / Decimal(y)).to_integral_value(ROUND_HALF_EVEN))
        assert 32 <= m <= 64 or shift == 0
    assert nemo.multiplier_and_shift(1.0, 1.0) == (32, 5)
    assert nemo.multiplier_and_shift(2.0**-30, 1.0) == (2, 31)  # cut off
    with pytest.raises(OutOfDomain, match="scales must be positive and finite"):
        nemo.multiplier_and_shift(0.0, 1.0)
