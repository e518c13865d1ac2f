"""The stops of one element, against the scalar walk of tests/spec on products that are made there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intsim.formats import Format
from intsim.summation import EVENTS, Summation
from intsim.taps.trace import first_misfit, stops
from tests.networks import conv_parameters, random_codes, single_mac
from tests.spec.second import Array
from tests.spec.test_accumulate import RULES, scalar_walk, summations


def products_of(x: Array, w: Array, at: tuple[int, ...], pad: int, offsets: tuple[int, int], x_zero: int) -> Array:
    """int[channels, height, width] of a convolution of stride 1; padding is the code x_zero."""
    image, m, i, j = at
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=x_zero).astype(np.int64)
    patch = padded[image, :, i : i + w.shape[2], j : j + w.shape[3]]
    return (patch - offsets[0]) * (w[m].astype(np.int64) - offsets[1])


@settings(max_examples=80, deadline=None)
@given(
    summations,
    st.sampled_from([8, 9, 12, 40]),
    st.sampled_from(RULES),
    st.tuples(st.integers(-300, 300), st.integers(0, 64), st.integers(-8, 7), st.integers(-3, 3)),
    st.integers(0, 1),
    st.integers(0, 10**6),
)
@example(Summation(offsets=(0, 0)), 12, "wrap", (5, 1, 3, 0), 0, 0)  # raw products beyond 12 bits
@example(Summation(offsets=(0, 0), clamp="end"), 12, "saturate", (5, 1, 3, 0), 0, 0)
def test_any_walk_stops_at_the_values_of_the_scalar_one(
    s: Summation, bits: int, overflow: str, others: tuple[int, int, int, int], pad: int, seed: int
) -> None:
    bias, constant, x_zero, w_zero = others
    w, x = random_codes(seed, (2, 3, 2, 2)), random_codes(seed + 1, (1, 3, 3, 3))
    parameters: dict[str, Any] = {"x_zero": x_zero, "w_zero": w_zero, "bias": np.array([bias, -bias])}
    parameters |= {"constant": constant, "accumulator_bits": bits, "overflow": overflow, "summation": s}
    lowered = single_mac("conv", (1, 3, 3, 3), conv_parameters(w=w, pads=(pad,) * 4, **parameters), x_format=Format(8))
    layer = lowered.layers[0]
    for at in ((0, 0, 0, 0), (0, 1, 1, 1)):
        products = products_of(x, w, at, pad, s.offsets or (x_zero, w_zero), x_zero)
        exact = int(products_of(x, w, at, pad, (x_zero, w_zero), x_zero).sum())
        own = bias if at[1] == 0 else -bias
        expected, misfits = scalar_walk(products, exact, own, constant, bits, overflow, s)
        walked = list(stops(layer, x, w, at))
        found = [(stop.what, int(stop.exact)) for stop in walked if stop.exact != stop.held]
        assert walked[-1].held == expected
        assert sorted(found) == sorted(misfits)
        for what, bit in EVENTS.items():
            own_misfits = [value for name, value in misfits if name == what]
            if own_misfits and (what != "tree" or s.lanes <= 2):  # the order of nodes is that of the levels
                assert first_misfit(layer, x, w, at, bit) == (what, own_misfits[0])
        if not misfits:
            assert first_misfit(layer, x, w, at) == ("accumulator", expected)


@pytest.mark.parametrize("overflow", ["wrap", "trap"])
def test_a_trap_is_traced_as_a_wrap_is(overflow: str) -> None:
    w, x = np.full((1, 1, 1, 2), 100, np.int8), np.full((1, 1, 1, 2), 100, np.int8)
    parameters = conv_parameters(w=w, pads=(0,) * 4, accumulator_bits=15, overflow=overflow)
    layer = single_mac("conv", (1, 1, 1, 2), parameters).layers[0]
    assert [(int(stop.exact), int(stop.held)) for stop in stops(layer, x, w, (0, 0, 0, 0))] == [
        (20_000, 20_000 - 2**15)
    ]
