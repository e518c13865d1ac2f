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
from intsim.formats import ROUNDINGS
from tests.spec.judges import onnx_reference
from tests.spec.second import FRACTION, Array, clipped


def mismatches(function: Callable[..., Array], x: Array, axes: tuple[int, ...], **p: Any) -> int:
    """How many codes differ from exact quotients, their elements found by walking x."""
    codes = function(x, axes=axes, keepdims=True, **p, bits=8, signed=True)
    gone = {axis % x.ndim for axis in axes}
    groups: dict[tuple[int, ...], list[int]] = {}
    for at, code in np.ndenumerate(x):
        groups.setdefault(tuple(0 if i in gone else v for i, v in enumerate(at)), []).append(int(code) - p["x_zero"])
    count = 0
    for at, elements in groups.items():
        mean = Fraction(sum(elements), len(elements)) / Fraction(2) ** p["shift"]
        count += int(codes[at]) != clipped(FRACTION[p["rounding"]](mean) + p["zero_point"], 8, True)
    return count


AXES = [(2, 3), (-1, -2), (1,), (0, 1, 2, 3), (3, 0)]


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    axes=st.sampled_from(AXES),
    shift=st.integers(-3, 4),
    rule=st.sampled_from(ROUNDINGS),
    x_zero=st.integers(-128, 127),
    zero=st.integers(-128, 127),
    seed=st.integers(0, 10**6),
)
def test_any_shape(
    shape: tuple[int, ...], axes: tuple[int, ...], shift: int, rule: str, x_zero: int, zero: int, seed: int
) -> None:
    x = np.random.default_rng(seed).integers(-128, 127, shape, endpoint=True)
    p: dict[str, Any] = {"shift": shift, "rounding": rule, "x_zero": x_zero, "zero_point": zero}
    assert mismatches(spec.reduce_mean, x, axes, **p) == 0


def test_mutants_are_caught() -> None:
    x = np.random.default_rng(0).integers(-128, 127, (4, 6, 5, 4), endpoint=True)
    p: dict[str, Any] = {"shift": -2, "rounding": "half_up", "x_zero": 9, "zero_point": 1}

    def floored(x: Array, **p: Any) -> Array:
        return spec.reduce_mean(x, **{**p, "rounding": "floor"})

    def swapped_axis(x: Array, **p: Any) -> Array:
        return spec.reduce_mean(x, **{**p, "axes": (0, 3)}).swapaxes(0, 2)

    def two_roundings(x: Array, **p: Any) -> Array:
        whole = spec.reduce_mean(x, **{**p, "shift": 0, "zero_point": 0})
        return spec.requantize(whole, shift=p["shift"], rounding=p["rounding"], zero_point=1, bits=8, signed=True)

    assert mismatches(spec.reduce_mean, x, (2, 3), **p) == 0
    for mutant in (floored, two_roundings):
        assert mismatches(mutant, x, (2, 3), **p) > 0, mutant.__name__
    assert mismatches(swapped_axis, x[:4, :, :4], (2, 3), **p) > 0


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("keepdims", [True, False])
def test_as_onnx_says(axes: tuple[int, ...], keepdims: bool) -> None:
    x = 2520 * 7 * np.random.default_rng(1).integers(-128, 127, (3, 4, 2, 5), endpoint=True)
    expected = onnx_reference("ReduceMean", [x.astype(np.float64), np.array(axes)], keepdims=int(keepdims))
    codes = spec.reduce_mean(x, axes=axes, keepdims=keepdims, shift=0, rounding="floor", bits=32, signed=True)
    assert codes.shape == expected.shape
    assert np.array_equal(codes, expected)


def test_large_codes_are_exact() -> None:
    x = np.full((1, 4), 2**63 - 1, object)
    mean = spec.reduce_mean(x, axes=(1,), keepdims=False, shift=0, rounding="floor", bits=64, signed=True)
    assert mean.tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": (2,)}, "axes must be an integer within -2 to 1, not 2"),
        ({"axes": (0, -2)}, r"axes must be distinct, not \(0, -2\)"),
        ({"x": np.zeros((0, 3), int), "axes": (0,)}, r"axes must have elements, not shape \(0, 3\) over \(0,\)"),
        ({"keepdims": 1}, "keepdims must be True or False, not 1"),
        ({"x": 1.5}, "x must hold integers, not 1.5"),
        ({"rounding": "avg"}, "rounding must be one of .*, not 'avg'"),
        ({"zero_point": 200}, "zero_point must be an integer within -128 to 127, not 200"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"x": np.ones((2, 3), int), "axes": (0,), "keepdims": True, "shift": 0}
    with pytest.raises(OutOfDomain, match=message):
        spec.reduce_mean(**{**good, "rounding": "floor", "bits": 8, "signed": True, **changes})
