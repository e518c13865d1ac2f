"""Tables: judged by mpmath at another precision, and by exhaustive enumeration in fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from intsim.formats import Format
from intsim.lowering.tables import exact_table, float32_table
from tests.lowering.graphs import affine, power

SWISH = {"alpha": 1 / 6, "beta": 0.5}

mpmath.mp.dps = 80


def judge(f: Callable[[Any], Any], x: Format, y: Format) -> list[int]:
    """half_up(f(real) / y_scale) + y_zero, clipped, with mpmath's f."""
    codes = []
    for q in range(x.low, x.high + 1):
        real = mpmath.mpf(x.scale[0]) * (q - x.zero_point[0])
        code = int(mpmath.floor(f(real) / mpmath.mpf(y.scale[0]) + mpmath.mpf("0.5"))) + y.zero_point[0]
        codes.append(min(max(code, y.low), y.high))
    return codes


FUNCTIONS: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "Sigmoid": ({}, lambda v: 1 / (1 + mpmath.exp(-v))),
    "Tanh": ({}, mpmath.tanh),
    "Relu": ({}, lambda v: max(v, 0)),
    "Clip": ({"min": -0.75, "max": 0.3}, lambda v: min(max(v, -0.75), mpmath.mpf(0.3))),
    "LeakyRelu": ({"alpha": float(np.float32(0.1))}, lambda v: v if v >= 0 else mpmath.mpf(float(np.float32(0.1))) * v),
    "HardSigmoid": ({"alpha": 0.2, "beta": 0.5}, lambda v: min(max(mpmath.mpf(0.2) * v + 0.5, 0), 1)),
    "HardSwish": ({}, lambda v: v * min(max(v / 6 + mpmath.mpf("0.5"), 0), 1)),
    "Requantize": ({}, lambda v: v),
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("x", [power(-4), power(-7), affine(0.0371, 121), power(-2, 4)])
@pytest.mark.parametrize("y", [power(-7), power(-5), affine(0.0039, 3)])
def test_exact_tables_are_correctly_rounded(function: str, x: Format, y: Format) -> None:
    attributes, f = FUNCTIONS[function]
    assert exact_table(function, attributes, [], x, y, "half_up").tolist() == judge(f, x, y)


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        # codes -3 … 3 at half the step: -1.5, -1, -0.5, 0, 0.5, 1, 1.5
        ("half_up", [-1, -1, 0, 0, 1, 1, 2]),
        ("half_down", [-2, -1, -1, 0, 0, 1, 1]),
        ("half_even", [-2, -1, 0, 0, 0, 1, 2]),
        ("half_away", [-2, -1, -1, 0, 1, 1, 2]),
        ("half_to_zero", [-1, -1, 0, 0, 0, 1, 1]),
        ("floor", [-2, -1, -1, 0, 0, 1, 1]),
        ("ceil", [-1, -1, 0, 0, 1, 1, 2]),
        ("toward_zero", [-1, -1, 0, 0, 0, 1, 1]),
        ("away_from_zero", [-2, -1, -1, 0, 1, 1, 2]),
    ],
)
def test_every_rounding_rule_on_ties(rounding: str, expected: list[int]) -> None:
    x = Format(3, narrow=True, scale=(0.5,))
    assert exact_table("Requantize", {}, [], x, power(0), rounding).tolist() == expected


def test_a_slope_by_channel_gives_a_row_by_channel() -> None:
    slopes = np.array([0.25, 0.5], np.float32).reshape(2, 1, 1)
    table = exact_table("PRelu", {}, [slopes], power(0), power(0), "half_up")
    assert table.shape == (2, 256)
    for row, slope in zip(table, (Fraction(1, 4), Fraction(1, 2)), strict=True):
        assert row.tolist() == [q if q >= 0 else math.floor(slope * q + Fraction(1, 2)) for q in range(-128, 128)]


def test_batch_normalization_is_a_table_by_channel() -> None:
    parameters = [np.array(v, np.float32) for v in ([1.5, -2.0], [0.25, 1.0], [0.5, -0.125], [2.0, 0.3])]
    x, y = power(-5), power(-4)
    table = exact_table("BatchNormalization", {"epsilon": 1e-5}, parameters, x, y, "half_up")
    for channel in range(2):
        scale, shift, mean, variance = (mpmath.mpf(float(p[channel])) for p in parameters)
        deviation = mpmath.sqrt(variance + mpmath.mpf(1e-5))

        def f(v: Any, s: Any = scale, b: Any = shift, m: Any = mean, d: Any = deviation) -> Any:
            return s * (v - m) / d + b

        assert table[channel].tolist() == judge(f, x, y)


@pytest.mark.parametrize("function", ["Relu", "Requantize", "LeakyRelu"])
def test_float32_tables_round_half_to_even(function: str) -> None:
    x, y = power(-4), power(-3)
    table = float32_table(function, {"alpha": 0.5}, [], x, y, "half_even")
    assert table[128 + 1] == 0, "1 / 2 is a tie, to the even 0"
    assert table[128 + 3] == 2, "3 / 2 is a tie, to the even 2"
    assert exact_table(function, {"alpha": 0.5}, [], x, y, "half_up")[128 + 1] == 1


def test_a_wrong_rule_is_caught() -> None:
    x, y = power(-7), power(-5)
    right = judge(lambda v: v, x, y)
    assert exact_table("Requantize", {}, [], x, y, "half_up").tolist() == right
    for mutant in ("floor", "half_even", "half_away", "half_down"):
        assert exact_table("Requantize", {}, [], x, y, mutant).tolist() != right, mutant
