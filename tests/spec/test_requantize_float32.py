from __future__ import annotations

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
from tests.spec.judges import onnxruntime
from tests.spec.second import Array, clipped, float32

MULTIPLIERS = st.floats(width=32, min_value=2.0**-40, max_value=2.0)


def second(acc: int, multiplier: float, zero: int, bits: int, signed: bool) -> int:
    """Conversion and product rounded to float32, then half_even to an integer, all by fractions."""
    product = float32(Fraction(float(float32(Fraction(acc)))) * Fraction(multiplier))
    return clipped(round(Fraction(float(product))) + zero, bits, signed)


@given(
    acc=st.integers(-(2**31), 2**31 - 1),
    multiplier=MULTIPLIERS,
    bits=st.integers(2, 16),
    signed=st.booleans(),
    zero=st.integers(0, 1),
)
def test_any_accumulator(acc: int, multiplier: float, bits: int, signed: bool, zero: int) -> None:
    code = spec.requantize_float32(acc, multiplier=multiplier, zero_point=zero, bits=bits, signed=signed)
    assert int(code) == second(acc, multiplier, zero, bits, signed)


def mismatches(function: Callable[..., Array], multiplier: float) -> int:
    """Accumulators at and around the ties of a multiplier."""
    acc = np.array(cases.multiplier_ties(multiplier, -140, 140))
    codes = function(acc, multiplier=multiplier, zero_point=5, bits=8, signed=True)
    return sum(int(c) != second(int(a), multiplier, 5, 8, True) for a, c in zip(acc, codes, strict=True))


ODD = float(np.float32(0.0031273))


@pytest.mark.parametrize("multiplier", [2.0**-1, 2.0**-5, ODD, float(np.float32(1 / 3)), float(np.float32(3e-7))])
def test_around_ties(multiplier: float) -> None:
    assert mismatches(spec.requantize_float32, multiplier) == 0


def test_mutants_are_caught() -> None:
    def half_up(acc: Array, **p: Any) -> Array:
        return spec.requantize(acc, shift=5, rounding="half_up", **{k: v for k, v in p.items() if k != "multiplier"})

    def exact(acc: Array, **p: Any) -> Array:
        wide = acc.astype(np.float64) * p["multiplier"]
        return np.clip(np.rint(wide) + p["zero_point"], -128, 127)

    def zero_point_first(acc: Array, **p: Any) -> Array:
        product = acc.astype(np.float32) * np.float32(p["multiplier"])
        return np.clip(np.rint(product + np.float32(p["zero_point"])), -128, 127)

    assert mismatches(half_up, 2.0**-5) > 0
    assert mismatches(exact, float(np.float32(1 / 6))) > 0  # 3 * m is 0.5 and a little more, which float32 loses
    assert mismatches(zero_point_first, 2.0**-5) > 0


@pytest.mark.onnxruntime
def test_as_onnx_runtimes_qlinear_conv() -> None:
    """One 1x1 convolution whose sums are the accumulators: per channel multipliers, u8 and s8."""
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(2)
    for dtype, zero in ((np.uint8, 131), (np.int8, -7)):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, (1, 8, 40, 40), endpoint=True).astype(dtype)
        w = rng.integers(-127, 127, (5, 8, 1, 1), endpoint=True).astype(np.int8)
        bias = rng.integers(-3000, 3000, 5).astype(np.int32)
        x_scale, y_scale = np.float32(0.0213), np.float32(0.11)
        w_scale = rng.uniform(0.001, 0.02, 5).astype(np.float32)
        operands = [x, x_scale, np.asarray(3, dtype), w, w_scale, np.zeros(5, np.int8)]
        expected = onnxruntime("QLinearConv", [*operands, y_scale, np.asarray(zero, dtype), bias])
        acc, _ = spec.conv(
            x,
            w,
            x_zero=3,
            bias=bias,
            strides=(1, 1),
            pads=(0, 0, 0, 0),
            dilations=(1, 1),
            groups=1,
            accumulator_bits=32,
            overflow="wrap",
        )
        codes = spec.requantize_float32(
            acc, multiplier=(x_scale * w_scale) / y_scale, zero_point=zero, bits=8, signed=info.min < 0
        )
        assert np.array_equal(codes, expected)
        assert len(np.unique(codes)) > 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"acc": 1.0}, "acc must hold integers, not 1.0"),
        ({"acc": 2**64}, "acc must fit in int64"),
        ({"multiplier": -0.5}, "multiplier must be positive and finite, not -0.5"),
        ({"multiplier": 1 / 3}, "multiplier must hold float32 values, not 0.333"),
        ({"acc": np.ones((2, 3), int), "multiplier": [1.0, 1.0]}, "multiplier must have 1 or 3 elements, not 2"),
        ({"bits": 32}, "bits must be an integer within 1 to 16, not 32"),
        ({"zero_point": -129}, "zero_point must be an integer within -128 to 127, not -129"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.requantize_float32(**{"acc": 1, "multiplier": 0.5, "bits": 8, "signed": True, **changes})
