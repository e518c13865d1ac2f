from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnxruntime
from tests.spec.second import Array, clipped, float32, wrapped


def real(value: Any) -> Fraction:
    return Fraction(float(value))


def mismatches(function: Callable[..., Array], x: Array, x_scale: float, scale: float, x_zero: int, zero: int) -> int:
    """How many codes of a mean over the last two axes differ from the formula by fractions."""
    n = x.shape[2] * x.shape[3]
    p: dict[str, Any] = {"x_scale": np.float32(x_scale), "scale": np.float32(scale), "x_zero": x_zero}
    codes = function(x, axes=(2, 3), keepdims=False, **p, zero_point=zero, bits=8, signed=True)
    m = real(float32(real(p["x_scale"]) / real(float32(real(p["scale"]) * n))))
    count = 0
    for i, c in np.ndindex(codes.shape):
        total = wrapped(int(x[i, c].sum()) - n * x_zero, 32)
        product = float32(real(float32(Fraction(total))) * m)
        count += int(codes[i, c]) != clipped(round(real(product)) + zero, 8, True)
    return count


def images(low: int = -128, high: int = 127) -> Array:
    return np.random.default_rng(0).integers(low, high, (20, 50, 4, 4), endpoint=True)


@pytest.mark.parametrize(("x_scale", "scale"), [(0.1, 0.1), (0.0231, 0.0117), (0.02, 0.3), (1.0, 0.5)])
@pytest.mark.parametrize(("x_zero", "zero"), [(0, 0), (-5, 3), (127, -128)])
def test_by_fractions(x_scale: float, scale: float, x_zero: int, zero: int) -> None:
    assert mismatches(spec.reduce_mean_float32, images(), x_scale, scale, x_zero, zero) == 0


def test_the_sum_wraps_in_32_bits() -> None:
    assert mismatches(spec.reduce_mean_float32, images(2**28, 2**29), 1e-8, 0.01, 0, 0) == 0


def test_mutants_are_caught() -> None:
    def exact(x: Array, **p: Any) -> Array:
        rest = {k: v for k, v in p.items() if k not in ("x_scale", "scale")}
        return spec.reduce_mean(x, **rest, shift=0, rounding="half_even")

    def divided_after(x: Array, **p: Any) -> Array:
        total = (x - p["x_zero"]).sum((2, 3)).astype(np.float32)
        code = np.rint(total * (p["x_scale"] / p["scale"]) / np.float32(12)) + p["zero_point"]
        return np.clip(code, -128, 127)

    def half_away(x: Array, **p: Any) -> Array:
        total = (x - p["x_zero"]).sum((2, 3)).astype(np.float32)
        f = total * (p["x_scale"] / (p["scale"] * np.float32(16)))
        return np.clip(np.trunc(f + np.copysign(np.float32(0.5), f)) + p["zero_point"], -128, 127)

    assert mismatches(exact, images(), 0.1, 0.0999, 0, 0) > 0
    assert mismatches(divided_after, images()[..., :3], 0.1, 0.1, 0, 0) > 0
    assert mismatches(half_away, images(), 0.1, 0.1, 0, 0) > 0


@pytest.mark.parametrize(("height", "width"), [(7, 7), (4, 4), (1, 9), (3, 5)])
def test_as_onnx_runtimes_qlinear_global_average_pool(height: int, width: int) -> None:
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(3)
    for dtype, x_zero, zero in ((np.int8, -5, 3), (np.uint8, 120, 0)):
        info = np.iinfo(dtype)
        x = rng.integers(info.min, info.max, (4, 50, height, width), endpoint=True).astype(dtype)
        x_scale, scale = np.float32(0.0231), np.float32(0.0041)
        operands = [x, x_scale, dtype(x_zero), scale, dtype(zero)]
        expected = onnxruntime("QLinearGlobalAveragePool", operands, domain="com.microsoft", channels_last=0)
        codes = spec.reduce_mean_float32(
            x,
            axes=(2, 3),
            keepdims=True,
            x_scale=x_scale,
            x_zero=x_zero,
            scale=scale,
            zero_point=zero,
            bits=8,
            signed=info.min < 0,
        )
        assert np.array_equal(codes, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": (5,)}, "axes must be an integer within -2 to 1, not 5"),
        ({"keepdims": None}, "keepdims must be True or False, not None"),
        ({"x_scale": -1.0}, "x_scale must be positive and finite, not -1.0"),
        ({"scale": 0.1}, "scale must hold float32 values, not 0.1"),
        ({"x_zero": 1.0}, "x_zero must be an integer within .*, not 1.0"),
        ({"bits": 33}, "bits must be an integer within 1 to 16, not 33"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"x": np.ones((2, 3), int), "axes": (0,), "keepdims": True, "x_scale": 1.0, "scale": 1.0}
    with pytest.raises(OutOfDomain, match=message):
        spec.reduce_mean_float32(**{**good, "bits": 8, "signed": True, **changes})
