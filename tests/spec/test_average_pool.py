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
from tests.spec.judges import onnx_reference, onnxruntime
from tests.spec.pools import onnx_attributes, poolings
from tests.spec.second import FRACTION, Array, clipped, window_elements

CODES: dict[str, Any] = {"shift": 0, "rounding": "half_up", "bits": 8, "signed": True}


def mismatches(function: Callable[..., Array], x: Array, parameters: dict[str, Any]) -> int:
    """How many codes differ from the exact quotients, their sums found by walking."""
    p = {"x_zero": 0, "zero_point": 0, "count_include_pad": False, **CODES, **parameters}
    codes = function(x, **p)
    window = {k: p[k] for k in ("kernel", "strides", "pads", "dilations")}
    count = 0
    for at, code in np.ndenumerate(codes):
        elements, places = window_elements(x, at, **window)
        divisor = (places if p["count_include_pad"] else len(elements)) * Fraction(2) ** p["shift"]
        mean = FRACTION[p["rounding"]](Fraction(sum(e - p["x_zero"] for e in elements)) / divisor)
        count += int(code) != clipped(mean + p["zero_point"], p["bits"], p["signed"])
    return count


@given(
    poolings(),
    st.booleans(),
    st.integers(-3, 4),
    st.sampled_from(ROUNDINGS),
    st.integers(-128, 127),
    st.integers(-8, 7),
)
def test_any_window(
    pooling: tuple[Array, dict[str, Any]], include_pad: bool, shift: int, rule: str, x_zero: int, zero: int
) -> None:
    x, window = pooling
    changes = {"shift": shift, "rounding": rule, "x_zero": x_zero, "zero_point": zero, "bits": 6}
    assert mismatches(spec.average_pool, x, {**window, **changes, "count_include_pad": include_pad}) == 0


CROOKED: dict[str, Any] = {
    "kernel": (3, 2),
    "strides": (2, 1),
    "pads": (2, 0, 1, 1),
    "dilations": (1, 2),
    "ceil_mode": True,
}


def test_mutants_are_caught() -> None:
    x = np.random.default_rng(0).integers(-128, 127, (2, 3, 7, 6), endpoint=True)
    parameters = {**CROOKED, "x_zero": 5}

    def two_roundings(x: Array, **p: Any) -> Array:
        whole = spec.average_pool(x, **{**p, "shift": 0, "bits": 16})
        return spec.requantize(whole, shift=p["shift"], rounding=p["rounding"], bits=p["bits"], signed=True)

    def padding_is_code_zero(x: Array, **p: Any) -> Array:
        return spec.average_pool(x - p["x_zero"], **{**p, "x_zero": 0, "count_include_pad": True})

    def shifted_pad(x: Array, **p: Any) -> Array:
        return spec.average_pool(x, **{**p, "pads": (1, 0, 2, 1)})

    def floored(x: Array, **p: Any) -> Array:
        return spec.average_pool(x, **{**p, "rounding": "floor"})

    assert mismatches(spec.average_pool, x, {**parameters, "shift": 1}) == 0
    for mutant in (two_roundings, padding_is_code_zero, shifted_pad, floored):
        assert mismatches(mutant, x, {**parameters, "shift": 1}) > 0, mutant.__name__


LCM = 2520  # of 1 to 9, the counts of windows of at most 3 x 3: every mean is an integer


@given(poolings(), st.booleans())
def test_means_as_onnx_runtime(pooling: tuple[Array, dict[str, Any]], include_pad: bool) -> None:
    pytest.importorskip("onnxruntime")
    x, window = pooling
    attributes = {**onnx_attributes(window), "count_include_pad": int(include_pad)}
    expected = onnxruntime("AveragePool", [(x * LCM).astype(np.float32)], opset=19, **attributes)
    parameters = {**CODES, "bits": 32, "rounding": "floor"}
    codes = spec.average_pool(x * LCM, **window, **parameters, count_include_pad=include_pad)
    assert codes.shape == expected.shape
    assert np.abs(codes - expected).max() <= 0.125  # float32: 24 bits of a number below 2**19, and its division


@given(poolings(), st.booleans())
def test_means_as_onnx_says(pooling: tuple[Array, dict[str, Any]], include_pad: bool) -> None:
    """In float64, where these are exact; without ceil_mode, whose last window the reference evaluator counts whole."""
    x, window = pooling
    window = {**window, "ceil_mode": False}
    attributes = {**onnx_attributes(window), "count_include_pad": int(include_pad)}
    expected = onnx_reference("AveragePool", [(x * LCM).astype(np.float64)], **attributes)
    parameters = {**CODES, "bits": 32, "rounding": "floor"}
    codes = spec.average_pool(x * LCM, **window, **parameters, count_include_pad=include_pad)
    assert np.array_equal(codes, expected)


def test_large_codes_are_exact() -> None:
    x = np.array([2**63 - 1] * 3, object).reshape(1, 1, 3)
    window: dict[str, Any] = {"kernel": (3,), "strides": (1,), "pads": (0, 0), "dilations": (1,)}
    assert spec.average_pool(x, **window, **{**CODES, "bits": 64}).ravel().tolist() == [2**63 - 1]
    assert spec.average_pool(x, **window, **{**CODES, "shift": 1, "bits": 64}).ravel().tolist() == [2**62]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros((4, 4), int)}, r"x must have a rank of at least 3, not shape \(4, 4\)"),
        ({"pads": (3, 0, 0, 0)}, "pads must leave each window an element of the image"),
        ({"count_include_pad": 1}, "count_include_pad must be True or False, not 1"),
        ({"x_zero": 0.0}, "x_zero must be an integer within .*, not 0.0"),
        ({"shift": [1]}, r"shift must be an integer within -1024 to 1024, not \[1\]"),
        ({"rounding": "mean"}, "rounding must be one of .*, not 'mean'"),
        ({"zero_point": 128}, "zero_point must be an integer within -128 to 127, not 128"),
        ({"bits": 80}, "bits must be an integer within 1 to 64, not 80"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"x": np.zeros((1, 1, 4, 4), int), **CROOKED, **CODES}
    with pytest.raises(OutOfDomain, match=message):
        spec.average_pool(**{**good, **changes})
