from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from tests import cases
from tests.spec.judges import onnx_reference, onnxruntime
from tests.spec.second import Array, clipped, float32

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = st.floats(width=32, min_value=2.0**-149, max_value=2.0**127)


def second(r: float, scale: float, zero: int, bits: int, signed: bool) -> int:
    """One rounding to float32, one to an integer (half_even), by fractions; then clipped around the zero point."""
    quotient = float(float32(Fraction(r) / Fraction(scale)))
    if math.isinf(quotient):
        return clipped(2**99 if quotient > 0 else -(2**99), bits, signed)
    return clipped(round(Fraction(quotient)) + zero, bits, signed)


@given(r=FLOATS, scale=SCALES, bits=st.integers(2, 16), signed=st.booleans(), zero=st.integers(0, 1))
def test_any_reals(r: float, scale: float, bits: int, signed: bool, zero: int) -> None:
    code = spec.quantize_float32(np.float32(r), scale=scale, zero_point=zero, bits=bits, signed=signed)
    assert int(code) == second(r, scale, zero, bits, signed)


SCALE = float(np.float32(0.001))


def mismatches(function: Callable[..., Array]) -> int:
    r = cases.half_steps(SCALE, -135, 135)
    codes = function(r, scale=SCALE, zero_point=-3, bits=8, signed=True)
    return sum(int(c) != second(float(v), SCALE, -3, 8, True) for v, c in zip(r, codes, strict=True))


def test_mutants_are_caught() -> None:
    def exact(r: Array, **p: Any) -> Array:
        return spec.quantize(r, **p, rounding="half_even")

    def reciprocal(r: Array, **p: Any) -> Array:
        product = r * (np.float32(1) / np.float32(p["scale"]))
        return np.clip(np.rint(product) + p["zero_point"], -128, 127)

    def zero_point_before_rounding(r: Array, **p: Any) -> Array:
        return np.clip(np.rint(r / np.float32(p["scale"]) + np.float32(p["zero_point"])), -128, 127)

    assert mismatches(spec.quantize_float32) == 0
    assert mismatches(exact) > 0
    assert mismatches(reciprocal) > 0
    assert mismatches(zero_point_before_rounding) > 0


@pytest.mark.parametrize("scale", [0.0173, 1.0, 2.0**-7, 3.0e-5, 1.9e30])
@pytest.mark.parametrize(("dtype", "zero"), [(np.int8, -3), (np.uint8, 128), (np.int16, 77), (np.uint16, 0)])
def test_as_onnx_runtime(scale: float, dtype: Any, zero: int) -> None:
    pytest.importorskip("onnxruntime")
    r = cases.half_steps(float(np.float32(scale)), -135, 135)
    expected = onnxruntime("QuantizeLinear", [r, np.float32(scale), np.asarray(zero, dtype)])
    bits, signed = np.iinfo(dtype).bits, np.iinfo(dtype).min < 0
    codes = spec.quantize_float32(r, scale=np.float32(scale), zero_point=zero, bits=bits, signed=signed)
    assert np.array_equal(codes, expected)


def test_infinity_saturates() -> None:
    r = np.array([math.inf, -math.inf, 3e38, -3e38], np.float32)
    codes = spec.quantize_float32(r, scale=np.float32(1e-9), zero_point=5, bits=8, signed=True)
    assert codes.tolist() == [127, -128, 127, -128]
    narrow = spec.quantize_float32(r, scale=np.float32(1e-9), zero_point=5, bits=8, signed=True, narrow=True)
    assert narrow.tolist() == [127, -127, 127, -127]


def test_per_channel_as_onnx_says() -> None:
    rng = np.random.default_rng(0)
    r = rng.normal(0, 3, (2, 3, 4)).astype(np.float32)
    for axis, channels in ((0, 2), (1, 3), (2, 4), (-1, 4)):
        scale = rng.uniform(0.01, 0.1, channels).astype(np.float32)
        zero = rng.integers(-20, 20, channels).astype(np.int8)
        codes = spec.quantize_float32(r, scale=scale, zero_point=zero, bits=8, signed=True, axis=axis)
        assert np.array_equal(codes, onnx_reference("QuantizeLinear", [r, scale, zero], axis=axis))


def test_17_bits_are_refused() -> None:
    with pytest.raises(OutOfDomain, match="bits must be an integer within 1 to 16, not 17"):
        spec.quantize_float32(np.float32(1), scale=1.0, bits=17, signed=True)
