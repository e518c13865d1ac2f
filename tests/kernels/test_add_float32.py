from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.compare import Array, assert_same, codes, f32, kernel_of
from tests.kernels.exact import float32, fraction

I8 = np.arange(-128, 128, dtype=np.int8)
U8 = np.arange(256, dtype=np.uint8)
RATIOS = [(0.5, 0.25), (0.3, 0.7), (1.0, 1.0), (0.0173, 1.9), (1 / 3, 2 / 3), (0.50000006, 0.49999997)]


def by_fractions(a: int, b: int, ratios: Array, zeros: tuple[int, int, int], fused: bool) -> int:
    """The code of one pair, or what two roundings in the place of each fma would give."""
    inner = float32 if not fused else lambda value: value
    ra, rb = map(fraction, ratios)
    a_zero, b_zero, zero = zeros
    k = float32(zero - float32(inner(ra * a_zero) + float32(rb * b_zero)))
    total = float32(inner(ra * a) + float32(inner(rb * b) + k))
    return min(max(round(total), -128), 127)


@pytest.mark.parametrize("ratios", RATIOS)
@pytest.mark.parametrize("zeros", [(0, 0, 0), (-3, 9, 5), (-128, 127, -128)])
def test_all_pairs_of_8_bits(ratios: tuple[float, float], zeros: tuple[int, int, int]) -> None:
    ra, rb = f32(ratios)
    parameters: dict[str, Any] = {"a_ratio": ra, "b_ratio": rb, "bits": 8}
    parameters |= dict(zip(("a_zero", "b_zero", "zero_point"), zeros, strict=True))
    assert_same("add_float32", I8[:, None], I8, **parameters, signed=True)


def test_unsigned() -> None:
    parameters: dict[str, Any] = {"a_ratio": np.float32(0.61), "b_ratio": np.float32(0.39), "bits": 8, "signed": False}
    assert_same("add_float32", U8[:, None], U8, **parameters, a_zero=128, b_zero=3, zero_point=120)


def test_narrow() -> None:
    parameters: dict[str, Any] = {"a_ratio": np.float32(0.9), "b_ratio": np.float32(1.9), "bits": 8, "signed": True}
    assert_same("add_float32", I8[:, None], I8, **parameters, narrow=True)


def test_the_fma_rounds_once() -> None:
    """Against fractions, on ratios where two roundings give other codes."""
    rng = np.random.default_rng(1)
    other = 0
    for _ in range(4):
        # (a + b) * ratio falls on or beside a tie for many pairs
        ra = np.float32(rng.integers(1, 64) / 2.0 / rng.integers(1, 128))
        ratios, zeros = np.array([ra, ra * np.float32(rng.choice([1, 2, 0.5]))]), (int(rng.integers(-9, 9)), 3, -7)
        a, b = I8[:, None], I8[rng.integers(0, 256, 20)]
        got = kernel_of("add_float32")(
            a,
            b,
            a_ratio=ratios[0],
            b_ratio=ratios[1],
            a_zero=zeros[0],
            b_zero=zeros[1],
            zero_point=zeros[2],
            bits=8,
            signed=True,
        )
        pairs = [(int(p), int(q)) for p in a[:, 0] for q in b]
        assert list(got.reshape(-1)) == [by_fractions(*pair, ratios, zeros, fused=True) for pair in pairs]
        other += sum(
            by_fractions(*pair, ratios, zeros, fused=False) != g for pair, g in zip(pairs, got.flat, strict=True)
        )
    assert other > 0


@pytest.mark.nojit
def test_tiny() -> None:
    parameters: dict[str, Any] = {"a_ratio": np.float32(0.3), "b_ratio": np.float32(0.7), "bits": 8, "signed": True}
    assert_same("add_float32", I8[::31].reshape(3, 3), I8[::90], **parameters, a_zero=4, b_zero=-4, zero_point=1)
    assert_same("add_float32", I8[::31].reshape(3, 3), np.int8(9), **parameters)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32])
def test_dtypes(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    a, b = codes(rng, dtype, (2, 3, 4)), codes(rng, np.uint16, (3, 1))
    parameters: dict[str, Any] = {"a_ratio": np.float32(0.31), "b_ratio": np.float32(0.7), "bits": 16, "signed": True}
    assert_same("add_float32", a, b, **parameters, a_zero=3, b_zero=7, zero_point=-9)


@pytest.mark.parametrize("ratio", [1e6, 2e7, 1e9, 1e12])
def test_results_beyond_int32(ratio: float) -> None:
    assert_same("add_float32", I8, np.int8(3), a_ratio=np.float32(ratio), b_ratio=np.float32(1), bits=8, signed=True)
