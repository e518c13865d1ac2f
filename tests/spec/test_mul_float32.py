from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from tests.spec.judges import onnxruntime
from tests.spec.second import Array, clipped, float32

A = np.arange(-128, 128)
B = A[::11]
CASES = [
    # ratio; zero points of a, b and the output
    (2.0**-7, 0, 0, 0),  # ties of the product itself
    (2.0**-7, 0, 0, 1),  # the odd zero point turns every tie: it is added before the rounding
    (0.0031, -3, 9, 5),
    (0.0117, -128, 127, -128),
]


def second(a: int, b: int, ratio: np.float32, zeros: tuple[int, int, int]) -> int:
    product = float32(Fraction(float(float32(Fraction((a - zeros[0]) * (b - zeros[1]))))) * Fraction(float(ratio)))
    return clipped(round(Fraction(float(float32(Fraction(float(product)) + zeros[2])))), 8, True)


def mismatches(function: Callable[..., Array], case: tuple[float, int, int, int]) -> int:
    ratio = np.float32(case[0])
    zeros = {"a_zero": case[1], "b_zero": case[2], "zero_point": case[3]}
    codes = function(A[:, None], B, ratio=ratio, **zeros, bits=8, signed=True)
    return sum(int(c) != second(int(A[i]), int(B[j]), ratio, case[1:]) for (i, j), c in np.ndenumerate(codes))


@pytest.mark.parametrize("case", CASES)
def test_pairs_of_codes(case: tuple[float, int, int, int]) -> None:
    assert mismatches(spec.mul_float32, case) == 0


def test_mutants_are_caught() -> None:
    def zero_point_after_rounding(a: Array, b: Array, **p: Any) -> Array:
        codes = spec.mul_float32(a, b, **{**p, "zero_point": 0, "bits": 16})
        return np.clip(codes + p["zero_point"], -128, 127)

    def swapped_zeros(a: Array, b: Array, **p: Any) -> Array:
        return spec.mul_float32(a, b, **{**p, "a_zero": p["b_zero"], "b_zero": p["a_zero"]})

    assert mismatches(zero_point_after_rounding, CASES[1]) > 0
    assert mismatches(swapped_zeros, CASES[2]) > 0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_as_onnx_runtimes_qlinear_mul(dtype: Any) -> None:
    pytest.importorskip("onnxruntime")
    info = np.iinfo(dtype)
    rng = np.random.default_rng(5)
    for _ in range(25):
        a_scale, b_scale = rng.uniform(0.01, 0.1, 2).astype(np.float32)
        c_scale = np.float32(rng.uniform(0.1, 2))
        a_zero, b_zero, zero = rng.integers(info.min, info.max, 3, endpoint=True)
        a, b = (rng.integers(info.min, info.max, (2, 3, 37), endpoint=True).astype(dtype) for _ in range(2))
        operands = [a, a_scale, dtype(a_zero), b, b_scale, dtype(b_zero), c_scale, dtype(zero)]
        expected = onnxruntime("QLinearMul", operands, domain="com.microsoft")
        codes = spec.mul_float32(
            a,
            b,
            ratio=(a_scale * b_scale) / c_scale,
            a_zero=int(a_zero),
            b_zero=int(b_zero),
            zero_point=int(zero),
            bits=8,
            signed=info.min < 0,
        )
        assert np.array_equal(codes, expected)


@pytest.mark.parametrize("ratio", [1e6, 2e7, 1e9, 1e12])
def test_products_beyond_int32_as_onnx_runtime(ratio: float) -> None:
    """x86 converts them to -2**31, which saturates low."""
    pytest.importorskip("onnxruntime")
    a, one, zero = A.astype(np.int8), np.float32(1), np.int8(0)
    operands = [a, np.float32(ratio), zero, np.full(256, 1, np.int8), one, zero, one, zero]
    expected = onnxruntime("QLinearMul", operands, domain="com.microsoft")
    codes = spec.mul_float32(A, 1, ratio=np.float32(ratio), bits=8, signed=True)
    assert np.array_equal(codes, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.ones((2, 3), int)}, r"a and b must broadcast, not shapes \(2, 3\) and \(4,\)"),
        ({"b": 0.5}, "b must hold integers, not 0.5"),
        ({"ratio": -1.0}, "ratio must be positive and finite, not -1.0"),
        ({"a": 2**62, "b": 2**62}, "a [*] b must fit in int64"),
        ({"b_zero": "0"}, "b_zero must be an integer within .*, not '0'"),
        ({"zero_point": 0.0}, "zero_point must be an integer within -128 to 127, not 0.0"),
        ({"signed": 0}, "signed must be True or False, not 0"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"a": 1, "b": np.ones(4, int), "ratio": 1.0, "bits": 8, "signed": True}
    with pytest.raises(OutOfDomain, match=message):
        spec.mul_float32(**{**good, **changes})
