from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim.errors import AccumulatorOverflow, OutOfDomain
from intsim.kernels.parallel import Pool
from intsim.summation import Summation
from tests.kernels.compare import Array, assert_equal, assert_same, codes, kernel_of, spec_of

conv = kernel_of("conv")
PLAIN: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
    "accumulator_bits": 32,
    "overflow": "wrap",
}
NARROW = [np.int8, np.uint8, np.int16, np.uint16]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, Array, dict[str, Any]]:
    """Operands and parameters of a small convolution, of one or two spatial axes."""
    rank = draw(st.integers(1, 2))
    groups = draw(st.integers(1, 3))
    kernel, strides, dilations = (tuple(draw(st.integers(1, most)) for _ in range(rank)) for most in (4, 4, 3))
    pads = tuple(draw(st.integers(0, 3)) for _ in range(2 * rank))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    least = [max(1, r - pads[i] - pads[rank + i]) for i, r in enumerate(reach)]
    image = tuple(draw(st.integers(n, n + 7)) for n in least)
    channels, outputs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x_dtype, w_dtype = draw(st.sampled_from([*NARROW, np.int32])), draw(st.sampled_from(NARROW))
    x = codes(rng, x_dtype, (draw(st.integers(1, 2)), channels, *image))
    w = codes(rng, w_dtype, (outputs, channels // groups, *kernel))
    per_channel = rng.integers(*_range(w_dtype), outputs)
    parameters = {
        "x_zero": draw(st.one_of(st.just(0), st.integers(*_range(x_dtype)))),
        "w_zero": draw(st.sampled_from([0, int(per_channel[0]), per_channel])),
        "bias": draw(st.sampled_from([None, rng.integers(-(2**20), 2**20, outputs)])),
        "strides": strides,
        "pads": pads,
        "dilations": dilations,
        "groups": groups,
        "accumulator_bits": draw(st.sampled_from([8, 15, 16, 24, 31, 32, 33, 40, 48, 62])),
        "overflow": draw(st.sampled_from(["wrap", "saturate"])),
    }
    return x, w, parameters


def _range(dtype: Any) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


@given(cases())
@settings(max_examples=70)
def test_any_shape_and_dtype(case: tuple[Array, Array, dict[str, Any]]) -> None:
    x, w, parameters = case
    assert_same("conv", x, w, **parameters)


@given(cases())
@settings(max_examples=30)
def test_int32_sums_wrap_to_the_same_accumulators(case: tuple[Array, Array, dict[str, Any]]) -> None:
    x, w, parameters = case
    parameters = {**parameters, "overflow": "wrap", "accumulator_bits": min(32, parameters["accumulator_bits"])}
    expected, _ = spec_of("conv")(x, w, **parameters)
    acc, _ = conv(x, w, **parameters, check=False, accumulate="int32")
    assert_equal(acc, expected)


@pytest.mark.parametrize("x_dtype", NARROW)
@pytest.mark.parametrize("w_dtype", [np.int8, np.uint8, np.int16])
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_dtypes(x_dtype: Any, w_dtype: Any, overflow: str) -> None:
    rng = np.random.default_rng(1)
    x, w = codes(rng, x_dtype, (2, 4, 7, 6)), codes(rng, w_dtype, (6, 2, 3, 3))
    zero = 3 if np.iinfo(x_dtype).min == 0 else -3
    changes = {"groups": 2, "pads": (1, 1, 1, 1), "x_zero": zero, "accumulator_bits": 20, "overflow": overflow}
    assert_same("conv", x, w, **{**PLAIN, **changes})


@pytest.mark.nojit
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strides": (2, 3)},
        {"pads": (1, 0, 2, 3)},
        {"dilations": (2, 1), "pads": (1, 1, 1, 1)},
        {"x_zero": -7, "w_zero": np.array([1, 2, 3, 4]), "bias": np.array([900, -900, 0, 5])},
        {"x_zero": 127, "pads": (1, 1, 1, 1), "accumulator_bits": 14},
    ],
)
def test_tiny(changes: dict[str, Any], overflow: str) -> None:
    rng = np.random.default_rng(2)
    x, w = codes(rng, np.int8, (2, 2, 5, 4)), codes(rng, np.int8, (4, 2, 2, 2))
    assert_same("conv", x, w, **{**PLAIN, "accumulator_bits": 15, "overflow": overflow, **changes})


@pytest.mark.nojit
@pytest.mark.parametrize("groups", [1, 3])
def test_one_spatial_axis(groups: int) -> None:
    rng = np.random.default_rng(3)
    x, w = codes(rng, np.uint8, (2, 3, 9)), codes(rng, np.int8, (3, 3 // groups, 3))
    parameters = {"strides": (2,), "pads": (2, 1), "dilations": (2,), "groups": groups, "x_zero": 100}
    assert_same("conv", x, w, **{**PLAIN, **parameters})


def test_depthwise_and_pointwise() -> None:
    rng = np.random.default_rng(4)
    x = codes(rng, np.int8, (2, 8, 9, 9))
    assert_same("conv", x, codes(rng, np.int8, (8, 1, 3, 3)), **{**PLAIN, "groups": 8, "strides": (2, 2)})
    assert_same("conv", x, codes(rng, np.int8, (5, 8, 1, 1)), **{**PLAIN, "strides": (2, 2)})


def test_images_larger_than_a_tile_and_a_batch_larger_than_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    wide = codes(rng, np.int8, (1, 2, 3, 2500))
    assert_same("conv", wide, codes(rng, np.int8, (2, 2, 3, 3)), **{**PLAIN, "pads": (1, 1, 1, 1)})
    tall = codes(rng, np.int8, (1, 2, 90, 70))
    assert_same("conv", tall, codes(rng, np.int8, (2, 2, 3, 3)), **{**PLAIN, "overflow": "saturate"})
    monkeypatch.setattr(sys.modules["intsim.kernels.conv"], "PASS_BYTES", 500)
    assert_same("conv", codes(rng, np.int8, (7, 2, 6, 6)), codes(rng, np.int8, (3, 2, 3, 3)), **PLAIN)


def test_saturation_depends_on_the_order_and_wrapping_does_not() -> None:
    x = np.array([100, 100, -100, -100], np.int8).reshape(1, 4, 1, 1)
    w = np.full((1, 4, 1, 1), 100, np.int8)
    saturated, clamped = conv(x, w, **{**PLAIN, "accumulator_bits": 15, "overflow": "saturate"})
    wrapped, outside = conv(x, w, **{**PLAIN, "accumulator_bits": 15})
    assert (int(saturated.item()), bool(clamped.item())) == (16383 - 20000, True)
    assert (int(wrapped.item()), bool(outside.item())) == (0, False)


def test_trap_reports_where_the_spec_raises() -> None:
    rng = np.random.default_rng(6)
    x, w = codes(rng, np.int8, (1, 3, 4, 4)), codes(rng, np.int8, (2, 3, 3, 3))
    parameters = {**PLAIN, "accumulator_bits": 14, "overflow": "trap"}
    acc, overflowed = conv(x, w, **parameters)
    wrapped, outside = spec_of("conv")(x, w, **{**parameters, "overflow": "wrap"})
    assert overflowed.any()
    assert_equal(acc, wrapped)
    assert_equal(overflowed, outside)
    with pytest.raises(AccumulatorOverflow):
        spec_of("conv")(x, w, **parameters)


def test_sums_that_int64_cannot_hold_are_refused() -> None:
    x, w = np.full((1, 4, 1, 1), -(2**31), np.int32), np.full((1, 4, 1, 1), -(2**31), np.int32)
    with pytest.raises(ValueError, match="may leave int64"):
        conv(x, w, **{**PLAIN, "accumulator_bits": 64})
    expected, _ = spec_of("conv")(x, w, **PLAIN)
    assert_equal(conv(x, w, **PLAIN, check=False)[0], expected)


@pytest.mark.parametrize(
    ("w_shape", "changes", "message"),
    [
        ((2, 3, 3, 3), {}, "groups must split"),
        ((3, 2, 3, 3), {"groups": 2}, "groups must split"),
        ((2, 4, 6, 3), {}, "must fit in"),
        ((2, 4, 3, 3), {"dilations": (1, 3)}, "must fit in"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(w_shape: tuple[int, ...], changes: dict[str, Any], message: str) -> None:
    x, w = np.zeros((1, 4, 5, 5), np.int8), np.zeros(w_shape, np.int8)
    with pytest.raises(ValueError, match=message):
        conv(x, w, **{**PLAIN, **changes})
    with pytest.raises(OutOfDomain):
        spec_of("conv")(x, w, **{**PLAIN, **changes})


def test_no_images() -> None:
    acc, overflowed = conv(np.zeros((0, 2, 4, 4), np.int8), np.zeros((3, 2, 3, 3), np.int8), **PLAIN)
    assert acc.shape == overflowed.shape == (0, 3, 2, 2)


def test_more_threads_than_rows() -> None:
    rng = np.random.default_rng(7)
    x, w = codes(rng, np.int8, (1, 1, 5, 5)), codes(rng, np.int8, (3, 1, 3, 3))
    with Pool(8) as pool:
        assert_equal(conv(x, w, **PLAIN, pool=pool)[0], conv(x, w, **PLAIN)[0])


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("outputs", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (3, 300), (40, 23)])
def test_saturating_tiles_of_any_number_of_outputs(size: tuple[int, int], outputs: int, groups: int) -> None:
    """Odd numbers of outputs in a group, tiles of one line and of many, one vector and many, every kind of lane."""
    rng = np.random.default_rng(outputs)
    x = codes(rng, np.int8, (2, 2 * groups, *size))
    w = codes(rng, np.int8, (outputs * groups, 2, 3, 2))
    w[::2] //= 64  # small weights never reach the ends
    common = {"strides": (1, 1), "pads": (1, 1, 1, 0), "dilations": (1, 1), "groups": groups, "overflow": "saturate"}
    bias = rng.integers(-(2**12), 2**12, len(w))
    for bits, zero, first in ((9, 0, False), (14, 0, True), (16, -128, True), (17, 5, False)):
        assert_same(
            "conv", x, w, x_zero=zero, bias=bias, accumulator_bits=bits, summation=Summation(bias_first=first), **common
        )


@pytest.mark.parametrize("bits", [31, 32, 33, 40])
def test_saturating_sums_of_wide_codes(bits: int) -> None:
    rng = np.random.default_rng(bits)
    x, w = codes(rng, np.int16, (1, 30, 5, 9)), codes(rng, np.int16, (3, 30, 3, 3))
    x[:, ::2], w[1] = -(2**15), -(2**15)
    parameters = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "groups": 1, "accumulator_bits": bits}
    assert_same("conv", x, w, overflow="saturate", **parameters)
