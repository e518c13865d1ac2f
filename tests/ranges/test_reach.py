"""Proofs about walks of any kind: what they say cannot overflow does not, and the bound is attained."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim import spec
from intsim.formats import ROUNDINGS, Format
from intsim.lowering.lowered import Layer
from intsim.plan.choose import choose
from intsim.ranges.bounds import Bounds, signed_bits
from intsim.ranges.prove import bounds_of
from intsim.summation import CLAMPS, EVENTS, Summation
from intsim.taps.trace import first_misfit, stops
from tests.networks import conv_parameters, random_codes, single_mac

Array = np.ndarray[Any, Any]

SHAPE = (3, 2, 2, 2)
"""Of the weights: 3 outputs, 2 channels, 2 x 2."""


def layer_of(x_format: Format, w: Array, **changes: Any) -> tuple[Any, Layer]:
    parameters = conv_parameters(w=w, pads=(0,) * 4, **changes)
    lowered = single_mac("conv", (None, w.shape[1], *w.shape[2:]), parameters, x_format=x_format)
    return lowered, lowered.layers[0]


def adversaries(w: Array, channel: int, format: Format, offset: int, s: Summation) -> list[Array]:
    """Inputs whose partial sums in the walk of one channel are as large (small) as can be, up to each product."""
    order = s.order or tuple(range(w.ndim - 1))
    index = np.arange(w[channel].size).reshape(w.shape[1:])
    walked = np.concatenate([index[a:b].transpose(order).ravel() for a, b in s.blocks(w.shape[1])])
    found = []
    for sign, others in product((1, -1), (1, -1)):
        for stop in range(1, len(walked) + 1):
            x = np.zeros(w[channel].size, np.int64)
            for at, k in enumerate(walked):
                toward = sign if at < stop else others
                x[k] = format.high if w[channel].ravel()[k] * toward >= 0 else format.low
            found.append(x.reshape(w.shape[1:]))
    return found


def searched(layer: Layer, format: Format, offset: int) -> Array:
    """All adversarial inputs of all channels, [images, C, H, W]."""
    s = layer.parameters.get("summation") or Summation()
    w = layer.parameters["w"].astype(np.int64) - (s.offsets[1] if s.offsets else layer.parameters["w_zero"])
    return np.stack([x for channel in range(len(w)) for x in adversaries(w, channel, format, offset, s)])


summations = st.builds(
    Summation,
    order=st.one_of(st.none(), st.permutations(range(3)).map(tuple)),
    clamp=st.sampled_from(CLAMPS),
    lanes=st.integers(1, 5),
    tree_bits=st.sampled_from([None, 16]),
    tree_overflow=st.sampled_from(["wrap", "saturate"]),
    channels_per_pass=st.sampled_from([None, 1]),
    spill_bits=st.sampled_from([None, 14]),
    spill_shift=st.integers(0, 3),
    spill_rounding=st.sampled_from(ROUNDINGS),
    bias_first=st.booleans(),
    offsets=st.sampled_from([None, (0, 0), (-128, 0)]),
)

FORMATS = [Format(8), Format(8, False, zero_point=(77,)), Format(4, zero_point=(-3,))]


@settings(max_examples=120, deadline=None)
@given(
    summations,
    st.sampled_from(FORMATS),
    st.sampled_from(["wrap", "saturate"]),
    st.tuples(st.integers(-3000, 3000), st.integers(0, 64)),
    st.integers(0, 10**6),
)
def test_what_cannot_overflow_does_not_and_one_bit_less_does(
    s: Summation, format: Format, overflow: str, added: tuple[int, int], seed: int
) -> None:
    w = random_codes(seed, SHAPE)
    zero = format.zero_point[0]
    base = {"x_zero": zero, "bias": np.full(3, added[0]), "constant": added[1], "overflow": overflow, "summation": s}
    lowered, layer = layer_of(format, w, **base, accumulator_bits=40)
    bounds = bounds_of(lowered, layer)
    wide_tree = s.tree_bits is None or bounds.tree_bits is None or bounds.tree_bits <= s.tree_bits
    wide_spill = bounds.spill_bits is None or s.spill_bits is None or bounds.spill_bits <= s.spill_bits
    x = searched(layer, format, zero)
    if bounds.cannot_overflow:
        assert not spec.conv(x, **layer.parameters)[1].any()
    enough = {**layer.parameters, "accumulator_bits": bounds.needed_bits}
    if s.spill_bits is None:
        enough["summation"] = replace(s, spill_bits=40)  # else the spill's width follows the accumulator's
    if wide_tree and wide_spill:
        acc, events = spec.conv(x, **enough)
        assert not events.any()
        for channel in range(3):
            assert bounds.low[channel] <= acc[:, channel].min()
            assert acc[:, channel].max() <= bounds.high[channel]
        rounds = s.channels_per_pass is not None and s.spill_shift > 0
        if not (rounds and s.offsets is not None):  # then the error of the rounding is bounded, not followed
            narrow = {**enough, "accumulator_bits": bounds.needed_bits - 1}
            assert (spec.conv(x, **narrow)[1] & EVENTS["accumulator"]).any()
    if s.lanes > 1 and s.tree_bits is not None and bounds.tree_bits is not None:
        for bits, expected in ((bounds.tree_bits, False), (bounds.tree_bits - 1, True)):
            changed = {**enough, "accumulator_bits": 40, "summation": replace(s, tree_bits=bits)}
            assert bool((spec.conv(x, **changed)[1] & EVENTS["tree"]).any()) is expected
    if s.channels_per_pass is not None and wide_tree and bounds.spill_bits is not None:
        for bits, expected in ((bounds.spill_bits, False), (bounds.spill_bits - 1, True)):
            changed = {**enough, "accumulator_bits": 40, "summation": replace(s, spill_bits=bits)}
            assert bool((spec.conv(x, **changed)[1] & EVENTS["spill"]).any()) is expected


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_bits_are_per_channel_and_each_is_attained(format: Format, overflow: str) -> None:
    w = random_codes(4, SHAPE) // np.array([1, 8, 64], np.int8).reshape(3, 1, 1, 1)
    parameters = {"x_zero": format.zero_point[0], "overflow": overflow, "bias": np.array([5, -300, 9])}
    lowered, layer = layer_of(format, w, **parameters)
    bounds = bounds_of(lowered, layer)
    assert len(set(bounds.bits)) == 3
    x = searched(layer, format, format.zero_point[0])
    for channel, bits in enumerate(bounds.bits):
        for width, expected in ((bits, False), (bits - 1, True)):
            events = spec.conv(x, **{**layer.parameters, "accumulator_bits": width})[1]
            assert bool(events[:, channel].any()) is expected


def test_the_rounding_constant_inside_needs_room() -> None:
    """127 * 1 fits in 8 bits; with 8 inside it does not."""
    w = np.ones((1, 1, 1, 1), np.int8)
    for constant, bits in ((0, 8), (8, 9)):
        lowered, layer = layer_of(Format(8), w, constant=constant)
        assert bounds_of(lowered, layer).needed_bits == bits


def test_zero_points_corrected_afterwards_need_room_for_the_raw_sum() -> None:
    """Codes 0 to 255 around 128: four centred products by 1 reach 512, four raw ones 1020; unsigned weights or not."""
    w = np.ones((1, 4, 1, 1), np.int8)
    format = Format(8, False, zero_point=(128,))
    for offsets, bits in ((None, 11), ((0, 0), 11)):
        s = None if offsets is None else Summation(offsets=offsets)
        lowered, layer = layer_of(format, w, x_zero=128, summation=s)
        bounds = bounds_of(lowered, layer)
        assert (bounds.low, bounds.high) == ((-512,), (508,))
        assert bounds.needed_bits == (10 if offsets is None else bits)


def test_padding_supplies_a_raw_code() -> None:
    """On one pixel in a 3 x 3 kernel, eight taps read the code 100 of the padding."""
    w = np.ones((1, 1, 3, 3), np.int8)
    format = Format(8, zero_point=(100,))
    parameters = conv_parameters(w=w, x_zero=100, summation=Summation(offsets=(0, 0)))
    lowered = single_mac("conv", (None, 1, 1, 1), parameters, x_format=format)
    bounds = bounds_of(lowered, lowered.layers[0])
    x = np.full((1, 1, 1, 1), 127)
    raw = 8 * 100 + 127
    assert bounds.needed_bits == signed_bits(0, raw) == 11
    assert not spec.conv(x, **{**parameters, "accumulator_bits": 11})[1].any()
    assert spec.conv(x, **{**parameters, "accumulator_bits": 10})[1].any()


def test_a_matrix_product_of_two_computed_operands() -> None:
    s = Summation(lanes=2, tree_bits=16, tree_overflow="saturate", channels_per_pass=4, spill_bits=16)
    parameters: dict[str, Any] = {
        "a_zero": 0,
        "b_zero": 0,
        "bias": np.array([1, 2, 3, 4]),
        "accumulator_bits": 32,
        "overflow": "saturate",
        "summation": s,
    }
    lowered = single_mac("matmul", (None, 4, 6), parameters, second=("b", (None, 6, 4), Format(8)))
    bounds = bounds_of(lowered, lowered.layers[0])
    assert bounds.tree_bits == 17  # 2 * 2**14
    assert bounds.spill_bits == 18  # 4 * 2**14
    assert bounds.high == tuple(6 * 2**14 + b for b in (1, 2, 3, 4))
    assert not bounds.cannot_overflow


@settings(max_examples=80, deadline=None)
@given(summations, st.sampled_from(["wrap", "saturate"]), st.sampled_from([9, 14, 20]), st.integers(0, 10**6))
def test_the_trace_of_an_element_ends_where_its_array_does(s: Summation, overflow: str, bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    s = replace(s, tree_bits=None if s.tree_bits is None else 12, spill_bits=None if s.spill_bits is None else 7)
    w, x = random_codes(seed, SHAPE), rng.integers(-128, 128, (2, 2, 3, 3))
    parameters = {"x_zero": 7, "bias": rng.integers(-999, 999, 3), "constant": 8, "overflow": overflow, "summation": s}
    _, layer = layer_of(Format(8), w, **parameters, accumulator_bits=bits)
    layer = replace(layer, parameters={**layer.parameters, "pads": (1, 0, 0, 1)})
    acc, events = spec.conv(x, **layer.parameters)
    for at in np.ndindex(*acc.shape):
        walked = list(stops(layer, x, w, at))
        assert walked[-1].held == acc[at]
        assert sum({EVENTS[stop.what] for stop in walked if stop.held != stop.exact}) == events[at]
        what, value = first_misfit(layer, x, w, at)
        if events[at]:
            assert events[at] & EVENTS[what]
        else:
            assert value == acc[at]


def bounds(**changes: Any) -> Bounds:
    fields = {"low": (0,), "high": (9,), "partial_low": (0,), "partial_high": (9,), "bits": (5,), "declared_bits": 8}
    return Bounds(**{**fields, **changes})


@pytest.mark.parametrize(
    ("summation", "found", "reason", "check"),
    [
        (Summation(lanes=2, tree_bits=8), bounds(tree_bits=8, tree_declared=8), "no input can overflow", False),
        (Summation(lanes=2, tree_bits=8), bounds(tree_bits=9, tree_declared=8), "tree nodes: 9 bits needed, 8", True),
        (Summation(channels_per_pass=1), bounds(spill_bits=5, spill_declared=8), "no input can overflow", False),
        (Summation(channels_per_pass=1), bounds(spill_bits=9, spill_declared=8), "spills: 9 bits needed, 8", True),
        (
            Summation(channels_per_pass=1, spill_shift=1),
            bounds(spill_bits=5, spill_declared=8),
            "each pass rounds what it spills",
            True,
        ),
        (Summation(clamp="end"), bounds(bits=(9,)), "9 bits needed, 8 declared; the exact sum is in int32", True),
        (None, bounds(bits=(9,)), "each addition is clamped, in order", True),
        (Summation(offsets=(0, 0), clamp="end"), bounds(bits=(9,)), "the sums are made in order", True),
    ],
)
def test_the_plan_follows_the_proof(summation: Summation | None, found: Bounds, reason: str, check: bool) -> None:
    _, layer = layer_of(Format(8), random_codes(1, SHAPE), overflow="saturate", accumulator_bits=8, summation=summation)
    choice = choose(layer, found)
    assert reason in choice.reason
    assert choice.options["check"] is check


def test_the_end_of_a_pass_needs_room_for_itself() -> None:
    """2 * 255 + 2 * 255 = 1020 is spilled before the bias of -510 brings it back to 510."""
    w = np.array([2, 2, 0], np.int8).reshape(1, 3, 1, 1)
    format = Format(8, False)
    for s, bits in ((Summation(), 10), (Summation(channels_per_pass=2, spill_bits=20), 11)):
        lowered, layer = layer_of(format, w, bias=np.array([-510]), summation=s)
        assert bounds_of(lowered, layer).needed_bits == bits
        x = np.full((1, 3, 1, 1), 255)
        for width, expected in ((bits, False), (bits - 1, True)):
            events = spec.conv(x, **{**layer.parameters, "accumulator_bits": width})[1]
            assert bool(events.any()) is expected


def test_raw_padding_alone_can_overflow_on_the_way() -> None:
    """On one pixel the padding's 100 is added four times, and taken away four times: no input changes that."""
    w = np.array([1, 1, 1, 1, 0, -1, -1, -1, -1], np.int8).reshape(1, 1, 3, 3)
    format = Format(8, zero_point=(100,))
    for overflow, bits in (("wrap", 1), ("saturate", 10)):
        s = Summation(offsets=(0, 0))
        parameters = conv_parameters(w=w, x_zero=100, summation=s, overflow=overflow)
        lowered = single_mac("conv", (None, 1, 1, 1), parameters, x_format=format)
        assert bounds_of(lowered, lowered.layers[0]).needed_bits == bits
    x = np.zeros((1, 1, 1, 1), np.int64)
    assert not spec.conv(x, **{**parameters, "accumulator_bits": 10})[1].any()
    assert spec.conv(x, **{**parameters, "accumulator_bits": 9})[1].any()
