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


def real(value: Any) -> Fraction:
    return Fraction(float(value))


def second(
    a: int, b: int, ratios: tuple[np.float32, np.float32], zeros: tuple[int, int, int], fused: bool = True
) -> int:
    """The formula by fractions: `float32` is the one rounding of a step; not fused, products are rounded too."""
    product = (lambda v: v) if fused else (lambda v: real(float32(v)))
    ra, rb = map(real, ratios)
    a_zero, b_zero, zero = zeros
    inner = float32(product(ra * a_zero) + real(float32(rb * b_zero)))
    k = float32(zero - real(inner))
    f = float32(product(ra * a) + real(float32(product(rb * b) + real(k))))
    return clipped(round(real(f)), 8, True)


CASES = [
    # a_ratio, b_ratio; zero points of a, b and the output
    (0.5, 0.25, 0, 0, 0),  # exact in float32: ties of the sum itself
    (0.7311, 0.4409, -3, 9, 5),
    (1.0, 1.0, -128, 127, -128),
    (1.5, 0.013, 17, -40, 3),
    (0.33333334, 0.6666667, 5, 5, -1),
]


def parameters(case: tuple[float, float, int, int, int]) -> dict[str, Any]:
    ratios = {"a_ratio": np.float32(case[0]), "b_ratio": np.float32(case[1])}
    return {**ratios, "a_zero": case[2], "b_zero": case[3], "zero_point": case[4], "bits": 8, "signed": True}


def mismatches(function: Callable[..., Array], case: tuple[float, float, int, int, int], fused: bool = True) -> int:
    codes = function(A[:, None], B, **parameters(case))
    ratios = (np.float32(case[0]), np.float32(case[1]))
    return sum(
        int(code) != second(int(A[i]), int(B[j]), ratios, case[2:], fused) for (i, j), code in np.ndenumerate(codes)
    )


@pytest.mark.parametrize("case", CASES)
def test_pairs_of_codes(case: tuple[float, float, int, int, int]) -> None:
    assert mismatches(spec.add_float32, case) == 0


def test_mutants_are_caught() -> None:
    def swapped(a: Array, b: Array, **p: Any) -> Array:
        turned = {**p, "a_ratio": p["b_ratio"], "b_ratio": p["a_ratio"], "a_zero": p["b_zero"], "b_zero": p["a_zero"]}
        return spec.add_float32(b, a, **turned)

    case = (56 / 64 / 3, 56 / 64 / 3, 3, -5, 7)  # ratios that bring many sums next to a tie
    assert mismatches(spec.add_float32, case) == 0
    assert mismatches(spec.add_float32, case, fused=False) > 0
    assert mismatches(swapped, case) > 0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_as_onnx_runtimes_qlinear_add(dtype: Any) -> None:
    pytest.importorskip("onnxruntime")
    info = np.iinfo(dtype)
    rng = np.random.default_rng(4)
    for _ in range(25):
        a_scale, b_scale, c_scale = rng.uniform(0.01, 0.1, 3).astype(np.float32)
        a_zero, b_zero, zero = rng.integers(info.min, info.max, 3, endpoint=True)
        a, b = (rng.integers(info.min, info.max, (2, 3, 37), endpoint=True).astype(dtype) for _ in range(2))
        operands = [a, a_scale, dtype(a_zero), b, b_scale, dtype(b_zero), c_scale, dtype(zero)]
        expected = onnxruntime("QLinearAdd", operands, domain="com.microsoft")
        codes = spec.add_float32(
            a,
            b,
            a_ratio=a_scale / c_scale,
            b_ratio=b_scale / c_scale,
            a_zero=int(a_zero),
            b_zero=int(b_zero),
            zero_point=int(zero),
            bits=8,
            signed=info.min < 0,
        )
        assert np.array_equal(codes, expected)


@pytest.mark.parametrize("ratio", [1e6, 2e7, 1e9, 1e12])
def test_sums_beyond_int32_as_onnx_runtime(ratio: float) -> None:
    """x86 converts them to -2**31, which saturates low."""
    pytest.importorskip("onnxruntime")
    a, one, zero = A.astype(np.int8), np.float32(1), np.int8(0)
    operands = [a, np.float32(ratio), zero, np.full(256, 3, np.int8), one, zero, one, zero]
    expected = onnxruntime("QLinearAdd", operands, domain="com.microsoft")
    codes = spec.add_float32(A, 3, a_ratio=np.float32(ratio), b_ratio=1.0, bits=8, signed=True)
    assert np.array_equal(codes, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": np.ones((2, 3), int)}, r"a and b must broadcast, not shapes \(2, 3\) and \(4,\)"),
        ({"a": 0.5}, "a must hold integers, not 0.5"),
        ({"a_ratio": 0.0}, "a_ratio must be positive and finite, not 0.0"),
        ({"b_ratio": [1.0, 1.0]}, r"b_ratio must be one number, not of shape \(2,\)"),
        ({"a_zero": None}, "a_zero must be an integer within .*, not None"),
        ({"zero_point": 128}, "zero_point must be an integer within -128 to 127, not 128"),
        ({"bits": 20}, "bits must be an integer within 1 to 16, not 20"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"a": 1, "b": np.ones(4, int), "a_ratio": 1.0, "b_ratio": 1.0, "bits": 8, "signed": True}
    with pytest.raises(OutOfDomain, match=message):
        spec.add_float32(**{**good, **changes})
