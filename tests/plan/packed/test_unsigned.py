"""Signed values without negative codes: how they are stored, what reads them, and products of pairs in 16 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.kernels.packed.ir import room_for_pairs
from intsim.lowering.lowered import Lowered
from intsim.plan import make_plan
from intsim.plan.packed.ops import conv
from intsim.plan.packed.unsigned import values_without_sign
from intsim.plan.stages import choices_on
from intsim.run.engine import Engine
from intsim.run.reference import run_reference
from intsim.taps.tap import TapSpec
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.networks import conv_parameters
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

S8 = Format(8, scale=(0.125,))
PAIRS = "neighbours' products added up in 16 bits"
POOL = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1)}


def in_pairs(lowered: Lowered) -> set[str]:
    """The layers whose products are added up in pairs on AVX2."""
    return {choice.layer.name for choice in choices_on(make_plan(lowered), "avx2") if PAIRS in choice.reason}


def rectified(net: Network, name: str, x: str, format: Format = S8, channels: int = 20, **parameters: Any) -> str:
    """A convolution with a clamp of its codes to those from the zero point on."""
    net.conv(f"{name}#unclamped", x, channels, format, **parameters)
    return net.layer(name, "clip", f"{name}#unclamped", format, low=format.zero_point[0], high=format.high)


@pytest.mark.parametrize("format", [S8, Format(8, scale=(0.125,), zero_point=(9,)), Format(4, scale=(1.0,))])
def test_a_network(format: Format) -> None:
    """Convolutions, also depthwise and padded with the zero point, an add, pools, a flattened image."""
    net, zero = Network(), format.zero_point[0]
    net.input("x", (20, 12, 13), S8)
    rectified(net, "a", "x", format)
    rectified(net, "b", "a", format, x_zero=zero, groups=20)
    rectified(net, "c", "b", format, x_zero=zero)
    shifts = {"a_shift": 0, "b_shift": 0, "shift": 1, "rounding": "half_up", "a_zero": zero, "b_zero": zero}
    net.layer("sum#unclamped", "add", "c a", format, **shifts, **form(format))
    net.layer("sum", "clip", "sum#unclamped", format, low=zero, high=format.high)
    net.layer("pooled", "max_pool", "sum", format, **POOL)
    rectified(net, "d", "pooled", format, channels=5, x_zero=zero)
    net.layer("flat", "flatten", "d", format, axis=1)
    net.layer(
        "y#accumulator",
        "matmul",
        "flat",
        Format(32),
        b=net.random.integers(-128, 128, (net.values["flat"].shape[1], 7)).astype(np.int8),
        a_zero=zero,
        b_zero=0,
        bias=None,
        accumulator_bits=32,
        overflow="wrap",
    )
    net.layer("y", "requantize", "y#accumulator", S8, shift=9, rounding="half_even", axis=-1, **form(S8))
    lowered = net.lowered()
    bare = values_without_sign(lowered)
    assert bare == {"a", "b", "c", "sum", "pooled", "d", "flat"}
    agree_all_packed(lowered, net.given, threads=2)
    if "avx2" in ISAS:
        layers = {f"{name}#unclamped#accumulator" for name in "bcd"}
        assert in_pairs(lowered) >= layers | {"y#accumulator"}


def test_values_that_something_else_reads_are_stored_as_ever() -> None:
    net = Network()
    net.input("x", (20, 6, 6), S8)
    rectified(net, "a", "x")
    rectified(net, "b", "a")
    net.layer("both", "concat", "a b", S8, axis=1)
    net.conv("y", "both", 5, S8)
    assert values_without_sign(net.lowered()) == set()
    agree_all_packed(net.lowered(), net.given)


def test_negative_codes_and_unsigned_formats_are_left_out() -> None:
    net = Network()
    low, unsigned = Format(8, scale=(0.125,), zero_point=(-5,)), Format(8, signed=False, scale=(0.125,))
    net.input("x", (20, 6, 6), S8)
    rectified(net, "a", "x", low)
    rectified(net, "b", "a", unsigned, x_zero=-5)
    net.conv("y", "b", 5, S8)
    assert values_without_sign(net.lowered()) == set()
    assert not in_pairs(net.lowered())
    agree_all_packed(net.lowered(), net.given)


def test_codes_that_are_given_may_be_negative() -> None:
    """In the place of what was computed; counts and codes show what was."""
    net = Network()
    net.input("x", (20, 6, 6), S8)
    rectified(net, "a", "x")
    net.layer("p", "max_pool", "a", S8, **POOL)
    net.conv("y", "p", 5, S8)
    lowered = net.lowered()
    given: Any = net.random.integers(-128, 128, net.values["a"].shape).astype(np.int8)
    expected = run_reference(lowered, net.given, override={"a": given})
    assert (run_reference(lowered, net.given)["y"] != expected["y"]).any()
    for isa in ISAS:
        engine = Engine(make_plan(lowered), 1, isa)
        for _ in range(2):  # the weights that a run without has packed are not those of a run with
            plain, other = engine.run(net.given, [TapSpec("histogram")]), engine.run(net.given, override={"a": given})
            assert np.array_equal(plain.outputs["y"].values, net.values["y"])
            assert np.array_equal(other.outputs["y"].values, expected["y"])


@pytest.mark.parametrize(("weight", "pairs"), [(64, True), (65, False), (-64, True), (-128, False)])
@pytest.mark.parametrize("code", [0, 255])
def test_small_weights_of_any_codes(weight: int, pairs: bool, code: int) -> None:
    """64 * 255 * 2 = 32640 is an i16, 65 * 255 * 2 is none."""
    assert room_for_pairs(255, abs(weight)) == pairs
    net = Network()
    unsigned = Format(8, signed=False, scale=(0.125,))
    net.input("x", (16, 3, 3), unsigned)
    net.values["x"][:] = code
    own = conv_parameters(w=np.full((17, 16, 3, 3), weight, np.int8), bias=None)
    net.layer("y#accumulator", "conv", "x", Format(32), **own)
    net.layer("y", "requantize", "y#accumulator", S8, shift=14, rounding="half_up", axis=1, **form(S8))
    agree_all_packed(net.lowered(), net.given)
    if "avx2" in ISAS:
        assert bool(in_pairs(net.lowered())) == pairs


def extremes() -> Network:
    """The largest codes and weights, whose pairs need 17 bits."""
    net = Network()
    net.input("x", (16, 3, 3), Format(8, signed=False, scale=(0.125,)))
    net.values["x"][:] = 255
    net.layer("y#accumulator", "conv", "x", Format(32), **conv_parameters(w=np.full((5, 16, 3, 3), 127, np.int8)))
    net.layer("y", "requantize", "y#accumulator", S8, shift=16, rounding="half_up", axis=1, **form(S8))
    return net


@pytest.mark.skipif("avx2" not in ISAS, reason="this processor has no AVX2")
def test_pairs_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant: pairs are taken whatever the weights."""
    agree(make_plan(extremes().lowered()), extremes().given)
    monkeypatch.setattr(conv, "room_for_pairs", lambda most, weights: True)
    with pytest.raises(AssertionError):
        agree(make_plan(extremes().lowered()), extremes().given)
