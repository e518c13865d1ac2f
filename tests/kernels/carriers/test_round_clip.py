from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.kernels.carriers.round_clip import masked, round_clip

pytestmark = pytest.mark.nojit

V = [-200.0, -128.001, -128.0, -0.001, 0.0, 0.999, 1.0, 127.999, 128.0, 3e5]
FLOORS = [-200, -129, -128, -1, 0, 0, 1, 127, 128, 300000]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "high"), [(-128, 127), (0, 127), (0, 6), (-2, 1)])
def test_floor_then_clip_and_what_was_inside(dtype: Any, low: int, high: int) -> None:
    mask = np.empty(len(V), np.bool_)
    codes = round_clip(np.array(V, dtype), low, high, mask)
    assert codes.dtype == np.float32
    assert codes.tolist() == [min(max(f, low), high) for f in FLOORS]
    assert mask.tolist() == [low <= f <= high for f in FLOORS]
    assert round_clip(np.array(V, dtype), low, high).tolist() == codes.tolist()


def test_float32_is_overwritten_and_float64_is_not() -> None:
    single, double = np.array(V, np.float32), np.array(V)
    assert round_clip(single, -8, 7) is single
    round_clip(double, -8, 7)
    assert double.tolist() == V


def test_gradients_outside_are_zero_whatever_they_are() -> None:
    out = np.empty(4, np.float32)
    masked(np.array([1.5, np.nan, np.inf, -2.0], np.float32), np.array([True, False, False, True]), out)
    assert out.tolist() == [1.5, 0.0, 0.0, -2.0]
