"""Clamps on codes: the same as clamping the real before it is rounded, for every real that matters."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intsim.formats import Format
from intsim.graph import Node
from intsim.lowering.clamps import Clamp, find_clamps
from tests.lowering.graphs import conv_graph, power


def half_up(real: Fraction, format: Format) -> int:
    code = math.floor(real / Fraction(format.scale[0]) + Fraction(1, 2)) + format.zero_point[0]
    return min(max(code, format.low), format.high)


@given(
    st.integers(-60, 60).map(lambda n: n / 8),
    st.integers(0, 80).map(lambda n: n / 8),
    st.sampled_from([0.5, 0.3, 1.0]),
    st.integers(-9, 9),
)
def test_clamping_codes_is_clamping_reals(low: float, width: float, scale: float, zero: int) -> None:
    format = Format(6, scale=(scale,), zero_point=(zero,))
    codes = Clamp("y", low, low + width).codes(format) or (format.low, format.high)
    for n in range(-400, 400):
        real = Fraction(n, 16)
        clamped = min(max(real, Fraction(low)), Fraction(low + width))
        assert min(max(half_up(real, format), codes[0]), codes[1]) == half_up(clamped, format)


def test_relu_and_clip_behind_a_layer_join() -> None:
    tail = (
        Node("relu", "Relu", ("h",), ("r",)),
        Node("clip", "Clip", ("r",), ("y",), {"max": 6.0}),
    )
    clamp = find_clamps(conv_graph(power(-4), power(-6), power(-3), tail=tail))["conv"]
    assert (clamp.low, clamp.high, clamp.output) == (0.0, 6.0, "y")
    assert clamp.codes(power(-3)) == (0, 48)


@pytest.mark.parametrize("format", [Format(8, False, scale=(0.1,)), Format(8, False, scale=(1 / 64,))])
def test_a_relu_on_an_unsigned_format_without_zero_point_changes_nothing(format: Format) -> None:
    assert Clamp("y", 0.0).codes(format) is None
