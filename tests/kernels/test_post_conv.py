from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from intsim.spec.post_table import post_table
from intsim.summation import Summation
from tests.kernels.compare import Array, assert_equal, assert_same, codes, kernel_of, spec_of
from tests.mutants import plant

post_conv = kernel_of("post_conv")
POINT: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
    "accumulator_bits": 32,
    "overflow": "wrap",
}


def weights(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> Array:
    """Random codes without a negative zero."""
    w = rng.integers(0, 1 << bits, shape).astype(np.uint8)
    return np.where(w == 1 << (bits - 1), 0, w).astype(np.uint8)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, Array, dict[str, Any]]:
    """Operands and parameters of a small convolution, of one or two spatial axes."""
    rank = draw(st.integers(1, 2))
    groups = draw(st.integers(1, 3))
    kernel, strides, dilations = (tuple(draw(st.integers(1, most)) for _ in range(rank)) for most in (4, 3, 3))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(2 * rank))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    image = tuple(draw(st.integers(max(1, r - pads[i] - pads[rank + i]), r + 5)) for i, r in enumerate(reach))
    channels, outputs = groups * draw(st.integers(1, 5)), groups * draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(st.sampled_from([np.int8, np.uint8]))
    bits, zero = draw(st.integers(2, 8)), draw(st.sampled_from([0, 1, 77]))
    table: dict[str, Any] = {
        "rule": draw(st.sampled_from(["post", "pot"])),
        "bits": bits,
        "guard_bits": draw(st.integers(0, 12)),
        "variant": draw(st.sampled_from(["shared", "full"])),
    }
    parameters = {
        "table": post_table(**table, low=-255, high=255),
        "low": -255,
        "x_zero": zero,
        "bias": draw(st.sampled_from([None, rng.integers(-(2**20), 2**20, outputs)])),
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "groups": groups,
        "accumulator_bits": draw(st.sampled_from([8, 12, 16, 24, 32, 33, 48, 62])),
        "overflow": draw(st.sampled_from(["wrap", "saturate"])),
    }
    x = codes(rng, dtype, (draw(st.integers(1, 2)), channels, *image))
    return x, weights(rng, bits, (outputs, channels // groups, *kernel)), parameters


@given(cases())
@settings(max_examples=40)
def test_any_shape_table_and_width(case: tuple[Array, Array, dict[str, Any]]) -> None:
    x, w, parameters = case
    assert_same("post_conv", x, w, **parameters)


WALKS = [
    Summation(lanes=4, tree_bits=9, tree_overflow="saturate"),
    Summation(lanes=3, tree_bits=10),
    Summation(clamp="end", order=(1, 2, 0)),
    Summation(order=(2, 0, 1), bias_first=True),
    Summation(channels_per_pass=2, spill_bits=9, spill_shift=2, spill_rounding="half_even"),
    Summation(channels_per_pass=3, lanes=2, order=(1, 2, 0), bias_first=True),
]


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("walk", range(len(WALKS)))
def test_every_rule_of_the_accumulator(walk: int, overflow: str) -> None:
    rng = np.random.default_rng(walk)
    table = post_table(rule="post", bits=4, guard_bits=3, variant="shared", low=-255, high=255)
    x, w = codes(rng, np.int8, (2, 10, 9, 6)), weights(rng, 4, (4, 5, 3, 2))
    common: dict[str, Any] = {"table": table, "low": -255, "x_zero": 9, "bias": rng.integers(-900, 900, 4)}
    geometry = {"strides": (2, 1), "pads": (1, 0, 2, 1), "dilations": (1, 2), "groups": 2}
    for bits in (11, 12, 30):
        rules = {"accumulator_bits": bits, "overflow": overflow, "summation": WALKS[walk], "constant": 8}
        assert_same("post_conv", x, w, **common, **geometry, **rules)
        if WALKS[walk].order is None:
            a, b = x.transpose(0, 2, 3, 1)[0], weights(rng, 4, (10, 4))
            assert_same("post_matmul", a, b, table=table, low=-255, bias=common["bias"], **rules)


@given(cases())
@settings(max_examples=30)
def test_int32_sums_wrap_to_the_same_accumulators(case: tuple[Array, Array, dict[str, Any]]) -> None:
    x, w, parameters = case
    parameters = {**parameters, "overflow": "wrap", "accumulator_bits": min(32, parameters["accumulator_bits"])}
    expected, _ = spec_of("post_conv")(x, w, **parameters)
    acc, _ = post_conv(x, w, **parameters, check=False, accumulate="int32")
    assert_equal(acc, expected)


@pytest.mark.parametrize("variant", ["shared", "full"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_every_activation_with_every_code(bits: int, variant: str) -> None:
    w = np.array([c for c in range(1 << bits) if c != 1 << (bits - 1)], np.uint8).reshape(-1, 1, 1, 1)
    for guard_bits in range(13) if bits == 4 else (0, 3, 12):  # they change the table, not how it is read
        table = post_table(rule="post", bits=bits, guard_bits=guard_bits, variant=variant, low=-255, high=255)
        for dtype, zero in ((np.int8, 0), (np.int8, 127), (np.uint8, 0), (np.uint8, 255), (np.int16, 0)):
            info = np.iinfo(np.int8 if dtype is np.int8 else np.uint8)
            low, high = (-255, 255) if dtype is np.int16 else (info.min, info.max)
            x = np.arange(low, high + 1, dtype=np.int16).astype(dtype).reshape(1, 1, 1, -1)
            parameters = {"table": table, "low": -255, "x_zero": zero, **POINT}
            expected, _ = spec_of("post_conv")(x, w, **parameters)
            acc, _ = post_conv(x, w, **parameters)
            assert_equal(acc, expected)


@pytest.mark.parametrize("guard_bits", [0, 3, 4, 5, 12])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_the_largest_products_all_at_once(guard_bits: int, overflow: str) -> None:
    """Each sum of eight rows at the end of what its carrier holds, and images that need many tiles and passes."""
    table = post_table(rule="post", bits=3, guard_bits=guard_bits, variant="full", low=-255, high=255)
    for value in (0, 255):
        x = np.full((2, 9, 70, 40), value, np.uint8)
        w = np.full((3, 9, 2, 2), 1, np.uint8)
        w[1], w[2, ::2] = 5, 5
        parameters = {"table": table, "low": -255, "x_zero": 255 - value, **POINT, "accumulator_bits": 20}
        assert_same("post_conv", x, w, **{**parameters, "overflow": overflow})


def test_weights_that_are_all_zero() -> None:
    table = post_table(rule="post", bits=4, guard_bits=3, variant="shared", low=-128, high=127)
    x, w = codes(np.random.default_rng(0), np.int8, (1, 2, 4, 4)), np.zeros((3, 2, 3, 3), np.uint8)
    assert_same("post_conv", x, w, table=table, low=-128, bias=np.array([5, -6, 7]), **POINT)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("shape", [(11,), (1, 11), (3, 11), (2, 3, 11)])
def test_matrix_products(shape: tuple[int, ...], overflow: str) -> None:
    rng = np.random.default_rng(4)
    table = post_table(rule="post", bits=4, guard_bits=4, variant="shared", low=-255, high=255)
    parameters = {"table": table, "low": -255, "accumulator_bits": 14, "overflow": overflow}
    for bias in (None, rng.integers(-500, 500, 6)):
        assert_same(
            "post_matmul", codes(rng, np.int8, shape), weights(rng, 4, (11, 6)), a_zero=-7, bias=bias, **parameters
        )


def test_an_activation_outside_the_table_is_refused() -> None:
    table = post_table(rule="post", bits=4, guard_bits=3, variant="shared", low=-8, high=7)
    x, w = np.full((1, 1, 2, 2), 8, np.int8), np.ones((1, 1, 1, 1), np.uint8)
    with pytest.raises(ValueError, match="x must be within -8 to 7"):
        post_conv(x, w, table=table, low=-8, **POINT)
    with pytest.raises(ValueError, match="x must be within -5 to 10"):
        post_conv(x - 14, w, table=table, low=-8, x_zero=3, **POINT)


MUTANTS = [
    ("first += (magnitude > 0) & (not below)", "first += not below"),
    ("starts[o, 1], starts[o, 2] = first, last + 1", "starts[o, 1], starts[o, 2] = first, last"),
    ("starts[o, 0], starts[o, 3] = first, last + 1", "starts[o, 0], starts[o, 3] = first + 1, last + 1"),
    (
        "add_rows_at_once(sums, base, offsets, starts[o, 2], starts[o, 3], at_once, 1, length)",
        "add_rows_at_once(sums, base, offsets, starts[o, 2], starts[o, 3], at_once, 0, length)",
    ),
    ("(1 - 2 * below)", "1"),
    ("half[j] = whole[j] >> 1", "half[j] = whole[j] // 2 + (whole[j] < 0)"),
    ("np.array_equal(rows[i], rows[j] >> 1)", "np.array_equal(rows[i] >> 8, rows[j] >> 9)"),
    ("most * terms < 1 << 31", "most * terms < 1 << 63"),
    ("seen.reshape(-1, half)", "seen.reshape(half, -1).T"),
    ("line[:] = 0", "line[:] = 1"),
    (
        "np.int64(x[row, y, left + j * strides[1]]) - least",
        "np.int64(x[row, y, left + j * strides[1]]) - least - 1",
    ),
    ("offset = taps[k] + level[magnitude]", "offset = taps[k]"),
    ("(channel_size - level_size)", "channel_size"),
    ("(outputs // groups, w.shape[1] * channel_size)", "(outputs, w.shape[1] * channel_size)"),
    ("tiles = -(-shape[0] // lines)", "tiles = max(1, shape[0] // lines)"),
    ("np.int64(sums[y * pitch + x]) + added[o]", "np.int64(sums[y * pitch + x])"),
    ("wrap(total, bits)", "min(max(total, low), high)"),
    ("total < low or total > high", "total > high"),
    ("ordered = is_ordered(summation, overflow, check)", "ordered = False"),
    ("clamped[i] |= acc[i] != total", "clamped[i] = acc[i] != total"),
    ("acc[i] = clamp(total, low, high)", "acc[i] = total"),
    ("first <= least <= most < first + count", "first <= least <= most <= first + count"),
]


@pytest.mark.nojit
@pytest.mark.skipif(not config.DISABLE_JIT, reason="mistakes are planted in plain Python")
@pytest.mark.parametrize(("old", "new"), MUTANTS, ids=[f"{i}" for i in range(len(MUTANTS))])
def test_mutants_are_caught(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("intsim.kernels.post_conv")
    plant(monkeypatch, module, old, new)
    function = module.post_conv
    rng = np.random.default_rng(5)
    common: dict[str, Any] = {
        "low": -255,
        "x_zero": 9,
        "bias": rng.integers(-99, 99, 4),
        "strides": (2, 1),
        "pads": (1, 0, 2, 1),
        "dilations": (1, 2),
        "groups": 2,
        "accumulator_bits": 12,
    }
    x, w = codes(rng, np.int8, (2, 8, 7, 6)), weights(rng, 4, (4, 4, 3, 2))
    tall = codes(rng, np.int8, (1, 2, 30, 100))
    with pytest.raises((AssertionError, ValueError, IndexError, pytest.fail.Exception)):
        for guard_bits, variant in ((3, "shared"), (9, "full")):
            table = post_table(rule="post", bits=4, guard_bits=guard_bits, variant=variant, low=-255, high=255)
            for overflow in ("wrap", "saturate"):
                assert_same("post_conv", x, w, under_test=function, table=table, overflow=overflow, **common)
        full = post_table(rule="post", bits=3, guard_bits=7, variant="full", low=-255, high=255)
        wide = {**common, "accumulator_bits": 40, "strides": (1, 1), "overflow": "wrap"}
        same, ones = np.full((1, 16, 3, 3), 127, np.int8), np.ones((4, 8, 3, 2), np.uint8)
        assert_same("post_conv", same, ones, under_test=function, table=full, **wide)
        assert_same("post_conv", tall, weights(rng, 3, (4, 1, 3, 2)), under_test=function, table=full, **wide)
        long = post_table(rule="post", bits=3, guard_bits=12, variant="full", low=-255, high=255)
        many = {**wide, "pads": (0, 0, 0, 0), "bias": np.zeros(1, np.int64), "groups": 1, "table": long}
        most = np.full((1, 4600, 1, 1), 127, np.int8)
        assert_same("post_conv", most, np.ones((1, 4600, 1, 1), np.uint8), under_test=function, **many)
        with pytest.raises(ValueError, match="table"):
            function(np.full((1, 8, 7, 6), 265, np.int16), w, table=table, overflow="wrap", **common)
