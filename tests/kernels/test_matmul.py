from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.compare import Array, assert_equal, assert_same, codes, kernel_of, spec_of

matmul = kernel_of("matmul")
NARROW = [np.int8, np.uint8, np.int16, np.uint16]
SHAPES = [
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((3,), (3,)),
    ((2, 3), (3, 5)),
    ((1, 300), (300, 1)),
    ((2, 4, 3), (3, 5)),
    ((2, 4, 3), (2, 3, 5)),
    ((2, 1, 4, 3), (3, 3, 2)),
    ((4, 3), (2, 3, 2)),
    ((3,), (2, 3, 2)),
    ((2, 4, 3), (3,)),
]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, Array, dict[str, Any]]:
    """Operands of broadcasting shapes, and parameters."""
    lines, terms, columns = draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
    batch = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 2)))]
    left, right = (
        tuple(n if draw(st.booleans()) else 1 for n in batch)[draw(st.integers(0, len(batch))) :] for _ in "ab"
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    a = codes(rng, draw(st.sampled_from([*NARROW, np.int32])), (*left, lines, terms))
    b = codes(rng, draw(st.sampled_from(NARROW)), (*right, terms, columns))
    b_zeros = rng.integers(0, 128, columns)
    return (
        a,
        b,
        {
            "a_zero": draw(st.integers(0, 127)),
            "b_zero": draw(st.sampled_from([0, 5, b_zeros])),
            "bias": draw(st.sampled_from([None, rng.integers(-(2**20), 2**20, columns)])),
            "accumulator_bits": draw(st.sampled_from([8, 15, 16, 24, 31, 32, 33, 48, 62])),
            "overflow": draw(st.sampled_from(["wrap", "saturate"])),
        },
    )


@given(cases())
@settings(max_examples=80)
def test_any_shape_and_dtype(case: tuple[Array, Array, dict[str, Any]]) -> None:
    a, b, parameters = case
    assert_same("matmul", a, b, **parameters)


@pytest.mark.nojit
@pytest.mark.parametrize(("a_shape", "b_shape"), SHAPES)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_shapes(a_shape: tuple[int, ...], b_shape: tuple[int, ...], overflow: str) -> None:
    rng = np.random.default_rng(1)
    a, b = codes(rng, np.int8, a_shape), codes(rng, np.uint8, b_shape)
    assert_same("matmul", a, b, a_zero=3, b_zero=128, accumulator_bits=16, overflow=overflow)


@pytest.mark.nojit
def test_zero_points_and_bias_per_column() -> None:
    rng = np.random.default_rng(2)
    a, b = codes(rng, np.int8, (3, 5)), codes(rng, np.int8, (5, 4))
    parameters = {"b_zero": np.array([0, -9, 3, 127]), "bias": np.array([1000, 0, -1000, 7])}
    assert_same("matmul", a, b, **parameters, a_zero=-128, accumulator_bits=18, overflow="saturate")


def test_int32_sums_wrap_to_the_same_accumulators() -> None:
    rng = np.random.default_rng(3)
    a, b = codes(rng, np.uint16, (4, 70)), codes(rng, np.uint16, (70, 9))
    for bits in (12, 31, 32):
        expected, outside = spec_of("matmul")(a, b, accumulator_bits=bits, overflow="wrap")
        acc, _ = matmul(a, b, accumulator_bits=bits, overflow="wrap", check=False, accumulate="int32")
        assert outside.any()
        assert_equal(acc, expected)


def test_rows_longer_than_a_tile() -> None:
    rng = np.random.default_rng(4)
    a, b = codes(rng, np.int8, (2, 7)), codes(rng, np.int8, (7, 5000))
    for overflow in ("wrap", "saturate"):
        assert_same("matmul", a, b, bias=np.arange(5000), accumulator_bits=17, overflow=overflow)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths 3 and 4"):
        matmul(np.zeros((2, 3), np.int8), np.zeros((4, 2), np.int8), accumulator_bits=32, overflow="wrap")


def test_empty() -> None:
    parameters = {"accumulator_bits": 32, "overflow": "wrap"}
    assert_same("matmul", np.zeros((0, 3), np.int8), np.zeros((3, 2), np.int8), **parameters)
