from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.formats import ROUNDINGS
from intsim.spec import requantize as requantize_function
from intsim.spec import rounding as rounding_module
from tests.spec.second import DECIMAL, FRACTION, Array, clipped, wrapped

ACCUMULATORS = range(-2048, 2048)  # every one of 12 bits
SHIFTS = range(-3, 15)
WIDTHS = range(2, 9)
HALF = Decimal("0.5")


def rounded(acc: int, shift: int, rule: str) -> int:
    """acc / 2**shift by the decimal module; its quotients by powers of two are exact."""
    quotient = Decimal(acc) / (1 << shift) if shift > 0 else Decimal(acc * (1 << -shift))
    if rule == "half_up":
        return int((quotient + HALF).to_integral_value(ROUND_FLOOR))
    if rule == "half_down":
        return int((quotient - HALF).to_integral_value(ROUND_CEILING))
    return int(quotient.to_integral_value(DECIMAL[rule]))


def mismatches(rule: str, shifts: range = SHIFTS, widths: range = WIDTHS) -> int:
    """How many codes of all 12-bit accumulators differ between the spec and the decimal module."""
    acc = np.array(ACCUMULATORS)
    count = 0
    for shift in shifts:
        exact = [rounded(a, shift, rule) for a in ACCUMULATORS]
        for bits in widths:
            codes = spec.requantize(acc, shift=shift, rounding=rule, bits=bits, signed=True)
            low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
            expected = [low if v < low else high if v > high else v for v in exact]
            count += sum(a != b for a, b in zip(codes.tolist(), expected, strict=True))
    return count


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_every_12_bit_accumulator_shift_and_width(rule: str) -> None:
    assert mismatches(rule) == 0


def test_the_formula_of_the_paper() -> None:
    """rnt(a, s) = (a + (1 << (s - 1))) >> s is half_up."""
    for shift in range(1, 15):
        expected = [max(-128, min(127, (a + (1 << (shift - 1))) >> shift)) for a in ACCUMULATORS]
        codes = spec.requantize(np.array(ACCUMULATORS), shift=shift, rounding="half_up", bits=8, signed=True)
        assert codes.tolist() == expected


def test_a_rounding_by_floor_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    original = rounding_module.rounds_up

    def floor(q: Array, remainder: Array, rest: Array, rule: str) -> Array:
        return original(q, remainder, rest, "floor")

    monkeypatch.setattr(rounding_module, "rounds_up", floor)
    assert mismatches("half_up", range(1, 2), range(8, 9)) > 0


@pytest.mark.parametrize("rule", ROUNDINGS)
@pytest.mark.parametrize("other", ROUNDINGS)
def test_each_rule_is_told_from_every_other(rule: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = rounding_module.rounds_up
    monkeypatch.setattr(rounding_module, "rounds_up", lambda q, remainder, rest, _: original(q, remainder, rest, other))
    assert (mismatches(rule, range(3, 4), range(8, 9)) > 0) == (rule != other)


def test_wrapping_in_the_place_of_saturating_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrap(v: Any, bits: int, signed: bool, narrow: bool) -> Array:
        return np.array([wrapped(int(a), bits) for a in v])

    module = __import__("sys").modules[requantize_function.__module__]
    monkeypatch.setattr(module, "saturate", wrap)
    assert mismatches("half_up", range(1, 2), range(8, 9)) > 0


def test_zero_point_is_added_after_rounding_and_before_clipping() -> None:
    # 3/2 rounds half_even to 2, + 1 = 3; (3/2 + 1) would be the tie 5/2, rounded to 2
    assert int(spec.requantize(3, shift=1, rounding="half_even", zero_point=1, bits=8, signed=True)) == 3
    # 260/2 = 130 is outside, 130 - 5 is inside
    assert int(spec.requantize(260, shift=1, rounding="half_up", zero_point=-5, bits=8, signed=True)) == 125


@given(
    acc=st.lists(st.integers(-(2**66), 2**66), min_size=3, max_size=3),
    shifts=st.lists(st.integers(-5, 70), min_size=3, max_size=3),
    zeros=st.lists(st.integers(0, 15), min_size=3, max_size=3),
    rule=st.sampled_from(ROUNDINGS),
    axis=st.sampled_from([0, 1, -1, -2]),
)
def test_per_channel(acc: list[int], shifts: list[int], zeros: list[int], rule: str, axis: int) -> None:
    square = np.array([acc, acc[::-1], acc], object)
    parameters: dict[str, Any] = {"rounding": rule, "bits": 4, "signed": False, "axis": axis}
    codes = spec.requantize(square, shift=np.array(shifts), zero_point=np.array(zeros), **parameters)
    for place, value in np.ndenumerate(square):
        c = place[axis]
        exact = FRACTION[rule](Fraction(value) / Fraction(2) ** shifts[c]) + zeros[c]
        assert codes[place] == clipped(exact, 4, False)


def test_shapes_and_dtypes() -> None:
    acc = np.arange(24).reshape(2, 3, 4)
    parameters: dict[str, Any] = {"rounding": "half_up", "bits": 8, "signed": True}
    by_channel = spec.requantize(acc, shift=[0, 1, 2], **parameters)
    assert by_channel.shape == acc.shape
    assert by_channel.dtype == np.int64
    assert by_channel[:, 2].tolist() == [[(v + 2) >> 2 for v in row] for row in acc[:, 2].tolist()]
    broadcast = spec.requantize(acc, shift=np.array([0, 1, 2]).reshape(1, 3, 1), **parameters)
    assert np.array_equal(by_channel, broadcast)
    assert spec.requantize(acc[:, 0, 0], shift=[1, 2], **parameters).tolist() == [0, 3]
    assert spec.requantize(acc.astype(object), shift=1, **parameters).dtype == np.int64
    assert int(spec.requantize(100, shift=3, **parameters)) == 13


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift": 1.5}, "shift must hold integers, not 1.5"),
        ({"shift": 2000}, "shift must be an integer within -1024 to 1024, not 2000"),
        ({"shift": [1, 2]}, "shift must have 1 or 3 elements, not 2"),
        ({"shift": [1, 2, 3], "axis": 4}, "axis must be within the 2 axes, not 4"),
        ({"rounding": "up"}, "rounding must be one of .*, not 'up'"),
        ({"zero_point": 128}, "zero_point must be an integer within -128 to 127, not 128"),
        ({"zero_point": -128, "narrow": True}, "zero_point must be an integer within -127 to 127, not -128"),
        ({"bits": 0}, "bits must be an integer within 1 to 64, not 0"),
        ({"signed": None}, "signed must be True or False, not None"),
        ({"acc": np.ones((2, 3))}, "acc must hold integers, not float64"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    parameters: dict[str, Any] = {
        "acc": np.ones((2, 3), int),
        "shift": 1,
        "rounding": "floor",
        "bits": 8,
        "signed": True,
    }
    with pytest.raises(OutOfDomain, match=message):
        spec.requantize(**{**parameters, **changes})
