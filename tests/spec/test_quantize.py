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
from intsim.formats import ROUNDINGS
from tests import cases
from tests.spec.second import FRACTION, Array, clipped

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = st.floats(width=32, min_value=2.0**-149, max_value=2.0**127)


def second(r: float, scale: float, zero: int, rule: str, bits: int, signed: bool) -> int:
    return clipped(FRACTION[rule](Fraction(r) / Fraction(scale)) + zero, bits, signed)


@given(
    r=FLOATS,
    scale=SCALES,
    rule=st.sampled_from(ROUNDINGS),
    bits=st.integers(2, 64),
    signed=st.booleans(),
    place=st.floats(0, 1),
)
def test_any_reals(r: float, scale: float, rule: str, bits: int, signed: bool, place: float) -> None:
    low = -(2 ** (bits - 1)) if signed else 0
    zero = low + int(Fraction(place) * (2**bits - 1))
    code = spec.quantize(np.float32(r), scale=scale, zero_point=zero, rounding=rule, bits=bits, signed=signed)
    assert int(code) == second(r, scale, zero, rule, bits, signed)


@given(n=st.integers(-1000, 1000), scale=SCALES.filter(lambda s: 1e-30 < s < 1e30), rule=st.sampled_from(ROUNDINGS))
def test_at_and_beside_ties(n: int, scale: float, rule: str) -> None:
    tie = np.float32(scale) * np.float32(n + 0.5)  # a tie, or as near to one as float32 can be
    for r in (np.nextafter(tie, np.float32(-np.inf)), tie, np.nextafter(tie, np.float32(np.inf))):
        code = spec.quantize(r, scale=scale, rounding=rule, bits=16, signed=True)
        assert int(code) == second(float(r), scale, 0, rule, 16, True)


EDGES = [
    # r, scale, half_up codes of 8 bits signed
    (0.0, 1.0, 0),
    (-0.0, 1.0, 0),
    (2.0**-149, 2.0**-149, 1),  # the least float32 is one step
    (2.0**-149, 2.0**127, 0),  # 2**-276, as small as a quotient can be
    (-(2.0**-149), 2.0**127, 0),
    (3.4028234e38, 2.0**-149, 127),  # 2**277, as large as it can be
    (-3.4028234e38, 2.0**-149, -128),
    (0.5, 1.0, 1),  # a tie goes to +inf
    (-0.5, 1.0, 0),
    (0.49999997, 1.0, 0),  # the float32 just below: its sum with 0.5 rounds to 1 in float32
    (127.5, 1.0, 127),  # 128 clips
    (-128.5, 1.0, -128),  # exactly at the end
]


@pytest.mark.parametrize(("r", "scale", "code"), EDGES)
def test_edges(r: float, scale: float, code: int) -> None:
    r = float(np.float32(r))
    assert int(spec.quantize(np.float32(r), scale=scale, rounding="half_up", bits=8, signed=True)) == code
    for rule in ROUNDINGS:
        got = spec.quantize(np.float32(r), scale=scale, rounding=rule, bits=8, signed=True)
        assert int(got) == second(r, scale, 0, rule, 8, True)


def mismatches(quantize: Callable[..., Array]) -> int:
    """How many codes of reals at and beside all ties of a power-of-two scale differ."""
    r = cases.half_steps(2.0**-5, -131, 131)
    codes = quantize(r, scale=2.0**-5, rounding="half_up", bits=8, signed=True)
    return sum(int(c) != second(float(v), 2.0**-5, 0, "half_up", 8, True) for v, c in zip(r, codes, strict=True))


def test_mutants_are_caught() -> None:
    def even(r: Array, **p: Any) -> Array:
        return spec.quantize(r, **{**p, "rounding": "half_even"})

    def one_half_added_in_float32(r: Array, **p: Any) -> Array:
        return np.clip(np.floor(r / np.float32(p["scale"]) + np.float32(0.5)), -128, 127).astype(np.int64)

    assert mismatches(spec.quantize) == 0
    assert mismatches(even) > 0
    assert mismatches(one_half_added_in_float32) > 0


def test_per_channel() -> None:
    r = np.array([[[1.0, -1.0], [0.25, 3.0]]] * 2, np.float32)
    codes = spec.quantize(
        r, scale=np.array([0.5, 0.25], np.float32), zero_point=[1, -1], rounding="floor", bits=8, signed=True
    )
    assert codes.tolist() == [[[3, -1], [0, 11]]] * 2
    last = spec.quantize(r, scale=[0.5, 0.25], zero_point=[1, -1], rounding="floor", bits=8, signed=True, axis=-1)
    assert last.tolist() == [[[3, -5], [1, 11]]] * 2


@pytest.mark.parametrize("function", [spec.quantize, spec.quantize_float32])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": np.float32(math.nan)}, "r must hold no NaN"),
        ({"r": 3}, "r must hold float32 values, not int64"),
        ({"r": 0.1}, "r must hold float32 values, not 0.1"),
        ({"r": [1e39]}, "r must hold float32 values, not 1e[+]39"),
        ({"scale": 0.0}, "scale must be positive and finite, not 0.0"),
        ({"scale": -1.0}, "scale must be positive and finite, not -1.0"),
        ({"scale": math.inf}, "scale must be positive and finite, not inf"),
        ({"scale": math.nan}, "scale must hold no NaN"),
        ({"scale": 0.1}, "scale must hold float32 values, not 0.1"),
        ({"scale": [1.0, 1.0]}, "scale must have 1 or 3 elements, not 2"),
        ({"zero_point": 200}, "zero_point must be an integer within -128 to 127, not 200"),
        ({"zero_point": 0.5}, "zero_point must hold integers, not 0.5"),
        ({"bits": 0}, "bits must be an integer within 1 to"),
    ],
)
def test_wrong_parameters(function: Callable[..., Array], changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"r": np.ones((2, 3), np.float32), "scale": 1.0, "bits": 8, "signed": True}
    if function is spec.quantize:
        good["rounding"] = "half_up"
    with pytest.raises(OutOfDomain, match=message):
        function(**{**good, **changes})


def test_infinity_is_refused() -> None:
    with pytest.raises(OutOfDomain, match="r must be finite"):
        spec.quantize(np.float32(math.inf), scale=1.0, rounding="floor", bits=8, signed=True)
