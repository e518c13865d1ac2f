from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnxruntime
from tests.spec.pools import onnx_attributes, poolings
from tests.spec.second import Array, clipped, float32, window_elements

SCALES: dict[str, Any] = {"x_scale": np.float32(0.0231), "scale": np.float32(0.0117)}
CODES: dict[str, Any] = {"x_zero": 3, "zero_point": 5, "bits": 8, "signed": True, "count_include_pad": False}


def real(value: Any) -> Fraction:
    return Fraction(float(value))


def mismatches(function: Callable[..., Array], x: Array, parameters: dict[str, Any]) -> int:
    """How many codes differ from the formula by fractions, each step rounded by `float32`, sums found by walking."""
    p = {**SCALES, **CODES, **parameters}
    codes = function(x, **p)
    window = {k: p[k] for k in ("kernel", "strides", "pads", "dilations")}
    count = 0
    for at, code in np.ndenumerate(codes):
        elements, _ = window_elements(x, at, **window)
        total = Fraction(0)
        for element in elements:
            total = real(float32(total + real(float32(real(p["x_scale"]) * (element - p["x_zero"])))))
        mean = float32(total / (int(np.prod(p["kernel"])) if p["count_include_pad"] else len(elements)))
        quotient = float32(real(mean) / real(p["scale"]))
        count += int(code) != clipped(round(real(float32(real(quotient) + p["zero_point"]))), p["bits"], p["signed"])
    return count


@settings(max_examples=40)
@given(poolings())
def test_any_window(pooling: tuple[Array, dict[str, Any]]) -> None:
    x, window = pooling
    for include_pad in (False, True):
        assert mismatches(spec.average_pool_float32, x, {**window, "count_include_pad": include_pad}) == 0


PLAIN: dict[str, Any] = {
    "kernel": (2, 2),
    "strides": (2, 1),
    "pads": (1, 0, 0, 1),
    "dilations": (1, 1),
    "ceil_mode": False,
}
TIES: dict[str, Any] = {"x_scale": np.float32(0.1), "scale": np.float32(0.1), "x_zero": 0, "zero_point": 1}


def test_mutants_are_caught() -> None:
    x = np.random.default_rng(0).integers(-60, 60, (2, 3, 9, 9))

    def exact(x: Array, **p: Any) -> Array:
        rest = {k: v for k, v in p.items() if k not in ("x_scale", "scale")}
        return spec.average_pool(x, **rest, shift=0, rounding="half_even")

    def other_order(x: Array, **p: Any) -> Array:
        return spec.average_pool_float32(x[..., ::-1], **{**p, "pads": (1, 1, 0, 0)})[..., ::-1]

    def shifted_pad(x: Array, **p: Any) -> Array:
        return spec.average_pool_float32(x, **{**p, "pads": (0, 0, 1, 1)})

    def padding_counts(x: Array, **p: Any) -> Array:
        return spec.average_pool_float32(x, **{**p, "count_include_pad": True})

    assert mismatches(spec.average_pool_float32, x, {**PLAIN, **TIES}) == 0
    for mutant in (exact, other_order, shifted_pad, padding_counts):
        assert mismatches(mutant, x, {**PLAIN, **TIES}) > 0, mutant.__name__


@settings(max_examples=60)
@given(poolings())
def test_as_onnx_runtimes_qlinear_average_pool(pooling: tuple[Array, dict[str, Any]]) -> None:
    """Its kernel knows no dilation; a window over the whole image it computes as a global mean."""
    pytest.importorskip("onnxruntime")
    x, window = pooling
    window = {**window, "dilations": (1,) * (x.ndim - 2)}
    if window["kernel"] == x.shape[2:]:
        return
    for include_pad in (False, True):
        attributes = {k: v for k, v in onnx_attributes(window).items() if k != "dilations"}
        expected = onnxruntime(
            "QLinearAveragePool",
            [x.astype(np.int8), SCALES["x_scale"], np.int8(3), SCALES["scale"], np.int8(5)],
            domain="com.microsoft",
            **attributes,
            count_include_pad=int(include_pad),
        )
        p = {**window, **SCALES, **CODES, "count_include_pad": include_pad}
        assert np.array_equal(spec.average_pool_float32(x, **p), expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pads": (2, 0, 0, 0)}, "pads must leave each window an element of the image"),
        ({"x_scale": 0.0}, "x_scale must be positive and finite, not 0.0"),
        ({"scale": np.ones(2, np.float32)}, r"scale must be one number, not of shape \(2,\)"),
        ({"x_zero": "0"}, "x_zero must be an integer within .*, not '0'"),
        ({"zero_point": -129}, "zero_point must be an integer within -128 to 127, not -129"),
        ({"count_include_pad": 0}, "count_include_pad must be True or False, not 0"),
        ({"bits": 17}, "bits must be an integer within 1 to 16, not 17"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"x": np.zeros((1, 1, 4, 4), int), **PLAIN, **SCALES, **CODES}
    with pytest.raises(OutOfDomain, match=message):
        spec.average_pool_float32(**{**good, **changes})
