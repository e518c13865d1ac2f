from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import UnsupportedOp
from intsim.formats import Format
from intsim.lowering import lower
from intsim.lowering.lowered import Layer
from intsim.ranges import prove as ranges
from intsim.ranges.bounds import signed_bits
from intsim.ranges.prove import bounds_of, prove, worst_case
from intsim.ranges.terms import valid_taps
from intsim.summation import Summation
from intsim.taps.trace import first_misfit, stops
from intsim.target import TARGETS
from tests.networks import X, conv_parameters, random_codes, residual, residual_graph, single_mac

Array = np.ndarray[Any, Any]


def addends(layer: Layer, x: Array, w: Array, at: tuple[int, ...]) -> list[int]:
    """What the layer adds to the element `at`: the steps of an accumulator that has to hold each sum, and holds it."""
    kept = replace(layer, parameters={**layer.parameters, "overflow": "saturate"})
    held = [int(stop.held) for stop in stops(kept, x, w, at)]
    return [after - before for before, after in zip([0, *held], held, strict=False)]


def adversary(weights: Array, format: Format, sign: int) -> Array:
    """Codes that make each product with these centred weights as large (sign 1) or as small (-1) as it can be."""
    return np.where(weights * sign >= 0, format.high, format.low)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (5, 7, 4), (-9, -8, 5)],
)
def test_signed_bits(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits
    assert -(1 << (bits - 1)) <= low <= high < 1 << (bits - 1)


@pytest.mark.parametrize("x_format", [X, Format(8, False, zero_point=(77,)), Format(4, zero_point=(-3,)), Format(2)])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_bounds_are_attained_per_channel(x_format: Format, groups: int) -> None:
    w_zero = np.array([3, -5, 0, 100])
    w = random_codes(1, (4, 6 // groups, 3, 3))
    bias = np.array([1000, -1000, 0, 7])
    zero = x_format.zero_point[0]
    parameters = conv_parameters(w=w, w_zero=w_zero, bias=bias, x_zero=zero, groups=groups, pads=(0, 0, 0, 0))
    lowered = single_mac("conv", (None, 6, 3, 3), parameters, x_format=x_format)
    bounds = bounds_of(lowered, lowered.layers[0])
    centred = w.astype(np.int64) - w_zero.reshape(-1, 1, 1, 1)
    for channel, sign in product(range(4), (1, -1)):
        x = np.zeros((1, 6, 3, 3), np.int64)
        first = channel // (4 // groups) * (6 // groups)
        x[0, first : first + 6 // groups] = adversary(centred[channel], x_format, sign)
        sums, overflowed = spec.conv(x, **parameters)
        bound = bounds.high[channel] if sign > 0 else bounds.low[channel]
        assert sums[0, channel, 0, 0] == bound
        assert not overflowed.any()


@pytest.mark.parametrize(
    "summation", [None, Summation(lanes=2, tree_bits=9), Summation(channels_per_pass=8, spill_bits=20)]
)
def test_a_large_matrix_product_is_bounded_in_parts(
    monkeypatch: pytest.MonkeyPatch, summation: Summation | None
) -> None:
    b, zeros = random_codes(2, (40, 30)), np.arange(30) - 15
    parameters = {"b": b, "a_zero": 3, "b_zero": zeros, "bias": zeros * 1000, "constant": np.array([8])}
    parameters |= {"accumulator_bits": 32, "overflow": "wrap", "summation": summation}
    lowered = single_mac("matmul", (None, 40), parameters)
    whole = bounds_of(lowered, lowered.layers[0])
    monkeypatch.setattr(ranges, "AT_ONCE", 40 * 7)
    assert bounds_of(lowered, lowered.layers[0]) == whole
    assert len(whole.low) == 30


@pytest.mark.parametrize("groups", [1, 2])
def test_a_large_convolution_is_bounded_in_parts(monkeypatch: pytest.MonkeyPatch, groups: int) -> None:
    w, zeros = random_codes(4, (30, 4 // groups, 3, 3)), np.arange(30) - 15
    parameters = conv_parameters(w=w, w_zero=zeros, bias=zeros * 900, x_zero=-4, groups=groups, constant=np.array([8]))
    lowered = single_mac("conv", (None, 4, 2, 5), parameters)
    whole = bounds_of(lowered, lowered.layers[0])
    monkeypatch.setattr(ranges, "AT_ONCE", 100)
    assert bounds_of(lowered, lowered.layers[0]) == whole


def test_windows_wholly_in_the_padding() -> None:
    parameters = conv_parameters(w=random_codes(3, (2, 1, 1, 1)), pads=(3, 0, 3, 0), bias=np.array([5, -7]))
    lowered = single_mac("conv", (None, 1, 1, 1), parameters)
    bounds = bounds_of(lowered, lowered.layers[0])
    assert min(bounds.low) <= -7 and max(bounds.high) >= 5


@pytest.mark.parametrize("length", [1, 2, 3, None])
def test_padded_conv_bounds_are_attained_by_some_position(length: int | None) -> None:
    """On an image smaller than the kernel no position sees all taps: the bound is that of the best one."""
    w = random_codes(2, (3, 2, 3, 3))
    parameters = conv_parameters(w=w)
    lowered = single_mac("conv", (None, 2, length, length), parameters)
    bounds = bounds_of(lowered, lowered.layers[0])
    size = length or 3
    best = np.full(3, np.iinfo(np.int64).min)
    for y, x in product(range(size), repeat=2):
        for channel in range(3):
            image = np.zeros((1, 2, size, size), np.int64)
            for i, j in product(range(size), repeat=2):
                if abs(i - y) <= 1 and abs(j - x) <= 1:
                    image[0, :, i, j] = adversary(w[channel, :, i - y + 1, j - x + 1], X, 1)
            best[channel] = max(best[channel], spec.conv(image, **parameters)[0][0, channel, y, x])
    assert bounds.high == tuple(best)


def test_matmul_bounds_are_attained_per_column() -> None:
    b = random_codes(3, (10, 4))
    b_zero = np.array([0, 3, -7, 20])
    bias = np.array([50, -50, 0, 1])
    format = Format(8, False, zero_point=(128,))
    parameters: dict[str, Any] = {
        "b": b,
        "a_zero": 128,
        "b_zero": b_zero,
        "bias": bias,
        "accumulator_bits": 32,
        "overflow": "wrap",
    }
    lowered = single_mac("matmul", (None, 10), parameters, x_format=format)
    bounds = bounds_of(lowered, lowered.layers[0])
    centred = b.astype(np.int64) - b_zero
    for column, sign in product(range(4), (1, -1)):
        a = adversary(centred[:, column], format, sign)[None]
        sums, _ = spec.matmul(a, **parameters)
        assert sums[0, column] == (bounds.high if sign > 0 else bounds.low)[column]


def test_matmul_of_two_computed_operands_is_bounded_by_its_formats() -> None:
    format = Format(8, False, zero_point=(10,))
    parameters: dict[str, Any] = {"a_zero": 0, "b_zero": 10, "bias": None, "accumulator_bits": 32, "overflow": "wrap"}
    lowered = single_mac("matmul", (None, 4, 6), parameters, second=("b", (None, 6, 4), format))
    bounds = bounds_of(lowered, lowered.layers[0])
    a = np.full((1, 4, 6), -128)
    assert bounds.low == (spec.matmul(a, np.full((1, 6, 4), 255), **parameters)[0].min(),)
    assert bounds.high == (6 * 127 * 245,)


def test_matmul_of_unknown_length_has_no_bound() -> None:
    parameters = {"a_zero": 0, "b_zero": 0, "bias": None, "accumulator_bits": 32, "overflow": "wrap"}
    lowered = single_mac("matmul", (None, 4, None), parameters, second=("b", (None, None, 4), X))
    with pytest.raises(UnsupportedOp, match=r"'mac'.*not known"):
        prove(lowered)


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
def test_needed_bits_are_just_enough(overflow: str) -> None:
    """At needed_bits no input overflows; with one bit fewer the adversarial input does."""
    w = np.array([[[[1, 2, -3]]]], np.int8)
    parameters = conv_parameters(w=w, bias=np.array([-600]), pads=(0,) * 4, overflow=overflow)
    lowered = single_mac("conv", (None, 1, 1, 3), parameters)
    bounds = bounds_of(lowered, lowered.layers[0])
    # Sums without bias: -765 to 768 (11 bits); with it -1365 to 168 (12 bits).
    assert (bounds.low, bounds.high, bounds.needed_bits) == (
        (-3 * 127 - 3 * 128 - 600,),
        (3 * 127 + 3 * 128 - 600,),
        12,
    )
    x = adversary(w[0], X, -1)[None]
    enough = {**parameters, "overflow": "saturate" if overflow == "saturate" else "wrap"}
    assert not spec.conv(x, **{**enough, "accumulator_bits": 12})[1].any()
    assert spec.conv(x, **{**enough, "accumulator_bits": 11})[1].any()


def test_saturation_looks_at_partial_sums() -> None:
    """The total fits in 8 bits, but the sum before the bias does not: wrap is right with 8 bits, saturate is not."""
    w = np.array([[[[1]]]], np.int8)
    format = Format(8, False)
    for overflow, bits in (("wrap", 8), ("saturate", 9)):
        parameters = conv_parameters(w=w, bias=np.array([-128]), pads=(0,) * 4, overflow=overflow)
        lowered = single_mac("conv", (None, 1, 1, 1), parameters, x_format=format)
        assert bounds_of(lowered, lowered.layers[0]).needed_bits == bits


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_partial_sum_leaves_its_bounds_in_any_order(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32))
    generator = np.random.default_rng(seed)
    pads = data.draw(st.tuples(*[st.integers(0, 2)] * 4))
    groups = data.draw(st.sampled_from([1, 2]))
    w = random_codes(seed, (2, 2 // groups, 2, 2))
    bias = generator.integers(-5000, 5000, 2)
    parameters = conv_parameters(w=w, bias=bias, x_zero=data.draw(st.integers(-128, 127)), pads=pads, groups=groups)
    lowered = single_mac("conv", (1, 2, 3, 3), parameters, x_format=Format(8, zero_point=(parameters["x_zero"],)))
    bounds = bounds_of(lowered, lowered.layers[0])
    x = random_codes(seed + 1, (1, 2, 3, 3))
    sums, _ = spec.conv(x, **parameters)
    for at in np.ndindex(*sums.shape):
        terms = addends(lowered.layers[0], x, w, at)
        assert sum(terms) == sums[at]
        assert bounds.low[at[1]] <= sums[at] <= bounds.high[at[1]]
        partial = np.cumsum(generator.permutation(terms))
        assert bounds.partial_low[at[1]] <= partial.min()
        assert partial.max() <= bounds.partial_high[at[1]]


@pytest.mark.parametrize("bias", [-1000, 0, 1000])
def test_partial_bounds_are_attained_by_the_worst_order(bias: int) -> None:
    w = np.array([[[[5, -7, 3]]]], np.int8)
    parameters = conv_parameters(w=w, bias=np.array([bias]), pads=(0,) * 4)
    lowered = single_mac("conv", (None, 1, 1, 3), parameters)
    bounds = bounds_of(lowered, lowered.layers[0])
    for sign, expected in ((-1, bounds.partial_low), (1, bounds.partial_high)):
        terms = addends(lowered.layers[0], adversary(w[0], X, sign)[None], w, (0, 0, 0, 0))
        partial = np.cumsum(sorted(terms, reverse=sign > 0))
        assert (partial.max() if sign > 0 else partial.min(), *expected) == (expected[0], expected[0])


def test_wide_codes_are_bounded_without_overflow_of_int64() -> None:
    w = np.full((1, 4, 1, 1), -(2**31), np.int32)
    parameters = conv_parameters(w=w, pads=(0,) * 4)
    lowered = single_mac("conv", (None, 4, 1, 1), parameters, x_format=Format(32, zero_point=(0,)))
    assert bounds_of(lowered, lowered.layers[0]).high == (4 * 2**62,)


@pytest.mark.parametrize("name", ["y1#accumulator", "y2#accumulator", "logits_q#accumulator"])
def test_the_worst_case_needs_other_weights(name: str) -> None:
    """It is what the proof gives for weights of the extreme codes, and never less than for the real ones."""
    lowered = lower(residual_graph(), TARGETS["diffquant"])
    layer = next(la for la in lowered.layers if la.name == name)
    keyword = "w" if layer.op == "conv" else "b"
    low, high = worst_case(lowered, layer)
    reached = [
        bounds_of(lowered, replace(layer, parameters={**layer.parameters, keyword: np.full_like(weights, code)}))
        for weights in [layer.parameters[keyword]]
        for code in (-128, 127)
    ]
    assert high == max(max(b.high) for b in reached)
    assert low == min(min(b.low) for b in reached)
    real = bounds_of(lowered, layer)
    assert low < min(real.low) and max(real.high) < high


def test_valid_taps() -> None:
    assert valid_taps(None, 3, 1, 1, 1, 1) == [(0, 1, 2)]
    assert valid_taps(2, 3, 1, 1, 1, 1) == [(0, 1), (1, 2)]
    assert valid_taps(1, 3, 1, 1, 1, 1) == [(1,)]
    assert valid_taps(3, 2, 1, 2, 2, 0) == [(0, 1)]
    assert valid_taps(2, 2, 1, 3, 3, 3) == [(0,), (1,)]


def test_a_layer_that_did_not_change_is_not_proved_again() -> None:
    before, same, other = residual(seed=1), residual(seed=1), residual(seed=2)
    proofs = prove(before)
    assert set(proofs) == {"y1#accumulator", "y2#accumulator", "logits_q#accumulator"}
    again = prove(same, (before, proofs))
    assert all(again[name] is proofs[name] for name in proofs)
    changed = prove(other, (before, proofs))
    assert all(changed[name] is not proofs[name] and changed[name] != proofs[name] for name in proofs)


@pytest.mark.parametrize("change", [{"bias": np.array([1, 2, 3, 5])}, {"overflow": "trap"}, {"pads": (0, 1, 1, 1)}])
def test_a_layer_with_any_other_parameter_is_proved_again(change: dict[str, Any]) -> None:
    before = residual()
    proofs = prove(before)
    layers = [
        replace(la, parameters={**la.parameters, **change}) if la.name == "y2#accumulator" else la
        for la in before.layers
    ]
    again = prove(replace(before, layers=tuple(layers)), (before, proofs))
    assert {name for name in proofs if again[name] is not proofs[name]} == {"y2#accumulator"}


def test_an_input_of_another_format_is_proved_again() -> None:
    before = residual()
    proofs = prove(before)
    narrow = replace(before, values={**before.values, "flat": Format(4)})
    again = prove(narrow, (before, proofs))
    assert {name for name in proofs if again[name] is not proofs[name]} == {"logits_q#accumulator"}


def test_the_declared_width_decides() -> None:
    assert all(b.cannot_overflow for b in prove(residual(accumulator_bits=24)).values())
    narrow = prove(residual(accumulator_bits=12))
    assert not narrow["y1#accumulator"].cannot_overflow
    assert narrow["y1#accumulator"].declared_bits == 12


def test_first_misfit_is_the_total_or_the_first_clamped_sum() -> None:
    w = np.array([[[[100, 100, -100]]]], np.int8)
    x = np.full((1, 1, 1, 3), 100, np.int8)
    parameters = conv_parameters(w=w, bias=np.array([50_000]), pads=(0,) * 4, accumulator_bits=15)
    for overflow, value in (("wrap", 60_000), ("trap", 60_000), ("saturate", 20_000)):
        lowered = single_mac("conv", (None, 1, 1, 3), {**parameters, "overflow": overflow})
        assert first_misfit(lowered.layers[0], x, w, (0, 0, 0, 0)) == ("accumulator", value)
