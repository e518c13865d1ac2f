from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.second import Array

X = np.random.default_rng(0).integers(-8, 7, (2, 3, 4), endpoint=True)
SQUARES = np.array([v * v - 20 for v in range(-8, 8)])
BY_CHANNEL = np.array([[c * v + 1 for v in range(-8, 8)] for c in (1, -2, 3)])


def mismatches(function: Callable[..., Array]) -> int:
    codes = function(X, table=BY_CHANNEL, low=-8)
    return sum(int(codes[at]) != (1, -2, 3)[at[1]] * int(v) + 1 for at, v in np.ndenumerate(X))


def test_one_table() -> None:
    codes = spec.table(X, table=SQUARES, low=-8)
    assert codes.dtype == np.int64
    assert codes.tolist() == (X * X - 20).tolist()
    assert spec.table(np.array([0, 255], np.uint8), table=np.arange(256)[::-1], low=0).tolist() == [255, 0]
    assert int(spec.table(3, table=SQUARES, low=-8)) == -11


def test_a_table_for_each_channel() -> None:
    assert mismatches(spec.table) == 0
    for axis in (0, 2, -1):
        turned = np.moveaxis(X, 1, axis)
        expected = np.moveaxis(spec.table(X, table=BY_CHANNEL, low=-8), 1, axis)
        assert np.array_equal(spec.table(turned, table=BY_CHANNEL, low=-8, axis=axis), expected)


def test_mutants_are_caught() -> None:
    def shifted(x: Array, **p: Any) -> Array:
        return spec.table(np.minimum(x + 1, 7), **p)

    def swapped_channels(x: Array, **p: Any) -> Array:
        return spec.table(x[:, ::-1], **p)[:, ::-1]

    assert mismatches(shifted) > 0
    assert mismatches(swapped_channels) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": [8]}, "x must be within -8 to 7, not 8 to 8"),
        ({"x": [-9, 3]}, "x must be within -8 to 7, not -9 to 3"),
        ({"x": 2**70}, "x must be within -8 to 7, not 1180591620717411303424 to"),
        ({"x": 0.0}, "x must hold integers, not 0.0"),
        ({"table": [0.5]}, "table must hold integers, not 0.5"),
        ({"table": 3}, r"table must have 1 or 2 axes and an entry, not shape \(\)"),
        ({"x": X, "table": BY_CHANNEL, "axis": 2}, "table must have 4 rows, not 3"),
        ({"x": X, "table": BY_CHANNEL, "axis": 3}, "axis must be an integer within -3 to 2, not 3"),
        ({"low": 0.0}, "low must be an integer within .*, not 0.0"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        spec.table(**{"x": 1, "table": SQUARES, "low": -8, **changes})
