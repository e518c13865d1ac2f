from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.formats import ROUNDINGS
from intsim.summation import CLAMPS, Summation
from tests.kernels.compare import Array, assert_same, codes, kernel_of, spec_of

DTYPES = [np.int8, np.uint8, np.int16]
RULES = ["wrap", "saturate"]


@st.composite
def summations(draw: st.DrawFn, axes: int, channels: int) -> Summation:
    """Any summation; narrow trees and spills, so that they overflow."""
    in_passes = draw(st.booleans())
    return Summation(
        order=draw(st.one_of(st.none(), st.permutations(range(axes)).map(tuple))),
        clamp=draw(st.sampled_from(CLAMPS)),
        lanes=draw(st.integers(1, 9)),
        tree_bits=draw(st.sampled_from([None, 8, 14, 16, 30, 64])),
        tree_overflow=draw(st.sampled_from(RULES)),
        channels_per_pass=draw(st.integers(1, channels + 1)) if in_passes else None,
        spill_bits=draw(st.sampled_from([None, 5, 9, 12, 40])),
        spill_shift=draw(st.integers(0, 9)),
        spill_rounding=draw(st.sampled_from(ROUNDINGS)),
        spill_overflow=draw(st.sampled_from(RULES)),
        bias_first=draw(st.booleans()),
        offsets=draw(st.one_of(st.none(), st.tuples(st.integers(-128, 9), st.integers(-3, 3)))),
    )


@st.composite
def accumulators(draw: st.DrawFn, outputs: int, axes: int, channels: int) -> dict[str, Any]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return {
        "accumulator_bits": draw(st.sampled_from([8, 13, 14, 15, 16, 17, 24, 31, 32, 33, 48])),
        "overflow": draw(st.sampled_from(RULES)),
        "bias": draw(st.sampled_from([None, rng.integers(-30000, 30000, outputs)])),
        "constant": draw(st.sampled_from([0, 8, rng.integers(0, 5000, outputs)])),
        "summation": draw(summations(axes, channels)),
    }


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_walk_of_a_convolution(data: st.DataObject) -> None:
    draw = data.draw
    rank, groups = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    depth, outputs = draw(st.integers(1, 5)), groups * draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = codes(rng, draw(st.sampled_from(DTYPES)), (2, groups * depth, *[5] * rank))
    w = codes(rng, draw(st.sampled_from(DTYPES)), (outputs, depth, *kernel))
    parameters = {
        "x_zero": draw(st.sampled_from([0, 7])),
        "w_zero": draw(st.sampled_from([0, 3, rng.integers(-9, 9, outputs)])),
        "strides": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
        "pads": tuple(draw(st.integers(0, 2)) for _ in range(2 * rank)),
        "dilations": tuple(draw(st.integers(1, 2)) for _ in range(rank)),
        "groups": groups,
        **draw(accumulators(outputs, rank + 1, depth)),
    }
    assert_same("conv", x, w, **parameters)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_walk_of_a_matrix_product(data: st.DataObject) -> None:
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    terms, columns = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    a = codes(rng, draw(st.sampled_from(DTYPES)), draw(st.sampled_from([(terms,), (3, terms), (2, 3, terms)])))
    b = codes(rng, draw(st.sampled_from(DTYPES)), draw(st.sampled_from([(terms, columns), (2, terms, columns)])))
    parameters = {
        "a_zero": draw(st.sampled_from([0, 7])),
        "b_zero": draw(st.sampled_from([0, 3, rng.integers(-9, 9, columns)])),
        **draw(accumulators(columns, 1, terms)),
    }
    assert_same("matmul", a, b, **parameters)


SATURATING: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
    "overflow": "saturate",
}


def exhaustive(bits: int) -> tuple[Array, Array]:
    """All sequences of three 3-bit codes, and of three 2-bit weights."""
    x = np.array(list(itertools.product(range(-4, 4), repeat=3)), np.int8).reshape(-1, 3, 1, 1)
    w = np.array(list(itertools.product(range(-2, 2), repeat=3)), np.int8).reshape(-1, 3, 1, 1)
    return x, w


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("bias", [0, -7, 7])
@pytest.mark.parametrize(
    "summation",
    [
        None,
        Summation(bias_first=True),
        Summation(clamp="end"),
        Summation(lanes=2, tree_bits=3, tree_overflow="saturate"),
        Summation(lanes=3, tree_bits=4, tree_overflow="wrap"),
        Summation(channels_per_pass=1, spill_bits=3, spill_shift=1, spill_rounding="half_even"),
        Summation(channels_per_pass=2, spill_bits=2, spill_shift=1, spill_overflow="wrap", clamp="end"),
        Summation(offsets=(-1, 1)),
    ],
)
def test_every_sequence_of_narrow_products(bits: int, bias: int, summation: Summation | None) -> None:
    x, w = exhaustive(bits)
    parameters = {**SATURATING, "accumulator_bits": bits, "bias": bias, "summation": summation, "constant": 1}
    for overflow in RULES:
        changes = {**parameters, "overflow": overflow}
        got, expected = kernel_of("conv")(x, w, **changes), spec_of("conv")(x, w, **changes)
        assert np.array_equal(got[0], expected[0])
        assert np.array_equal(got[1], expected[1])


@pytest.mark.parametrize(
    ("bits", "lane"), [(14, np.int16), (15, np.int32), (16, np.int32), (31, np.int64), (48, np.int64)]
)
def test_extreme_products_in_each_lane(bits: int, lane: Any) -> None:
    """-128 * -128 on a full accumulator: the greatest sum that a lane must hold before it is clamped."""
    from intsim.kernels.accumulate import lane_dtype

    factor = 128 if bits <= 16 else 2**15
    assert lane_dtype(bits, factor * factor) is lane
    dtype = np.int8 if bits <= 16 else np.int16
    x = np.full((1, 2 ** max(bits - 28, 3), 1, 1), -factor, dtype)
    signs = np.where(np.arange(x.shape[1]) % 5 < 3, -1, 1)
    w = np.stack([np.full(x.shape[1], -factor), signs * (factor - 1), np.full(x.shape[1], factor - 1)])
    w = w.astype(dtype).reshape(3, -1, 1, 1)
    if x.size > 4096:
        x, w = x[:, :4096], w[:, :4096]
    assert_same("conv", x, w, **{**SATURATING, "accumulator_bits": bits})


def test_the_lane_is_exactly_wide_enough() -> None:
    from intsim.kernels.accumulate import lane_dtype

    assert lane_dtype(15, 2**14 - 1) is np.int16
    assert lane_dtype(15, 2**14) is np.int32
    assert lane_dtype(31, 2**30 - 1) is np.int32
    assert lane_dtype(31, 2**30) is np.int64
    assert lane_dtype(32, 1) is np.int64


def test_no_channels_and_no_terms() -> None:
    a, b = np.zeros((2, 0), np.int8), np.zeros((0, 3), np.int8)
    for summation in (None, Summation(channels_per_pass=2, spill_bits=8), Summation(lanes=4, tree_bits=8)):
        assert_same(
            "matmul", a, b, bias=np.array([300, -2, 1]), accumulator_bits=8, overflow="saturate", summation=summation
        )
