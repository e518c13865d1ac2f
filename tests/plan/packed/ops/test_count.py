"""What programs count: of clamps and of values under another name, from what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from intsim.formats import Format
from intsim.kernels.packed.ops import count as kernel
from intsim.plan import make_plan
from intsim.plan.packed.ops.count import Count
from intsim.plan.stages import make_stages
from intsim.plan.wanted import Wanted
from intsim.taps import counters
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.networks import conv_parameters
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree, agree_all_packed

pytestmark = needs_instructions

X = Format(8, signed=False, scale=(0.25,), zero_point=(113,))


def network(zero: int, low: int, high: int, signed: bool = True) -> Network:
    """A convolution, a clamp of it that other layers read too, and the clamp's codes in another shape."""
    y = Format(8, signed, scale=(0.0625,), zero_point=(zero,))
    net = Network(images=3)
    net.input("x", (3, 9, 7), X)
    net.conv("y", "x", 21, y, clipped=2, x_zero=113)
    net.layer("relu", "clip", "y", y, low=low, high=high)
    net.layer("flat", "flatten", "relu", y, axis=1)
    net.layer("again", "clip", "relu", y, low=low, high=max(low, high - 3))
    zeros = {"a_zero": zero, "b_zero": zero, "a_shift": 0, "b_shift": 0}
    net.layer("back", "add", "relu y", y, **zeros, shift=1, rounding="half_up", **form(y))
    return net


@pytest.mark.parametrize(
    ("zero", "low", "high"),
    [(4, 4, 127), (4, -128, 4), (4, 4, 4), (4, 5, 90), (4, -9, 3), (4, -9, 9), (-128, -128, 60)],
)
def test_clamps(zero: int, low: int, high: int) -> None:
    agree(make_plan(network(zero, low, high).lowered()), network(zero, low, high).given)


@pytest.mark.parametrize("histogram", [False, True])
def test_what_follows_is_not_counted(histogram: bool) -> None:
    net = network(4, 4, 127)
    names = ("y", "relu", "flat", "again", "back")
    wanted = Wanted(frozenset(["back"]), dict.fromkeys(names, (histogram, False)))
    (stage,) = make_stages(make_plan(net.lowered()), ISAS[0], wanted, ())
    assert stage.segment is not None
    counted = [op.inputs[0] for op in stage.segment.program.ops if isinstance(op, Count)]
    assert counted == ["y", "flat", "again", "back"]


def test_other_kinds_do_not_follow() -> None:
    """A histogram of the clamp alone, and counts of what it clamps."""
    net = network(4, 4, 127)
    wanted = Wanted(frozenset(["back"]), {"y": (False, False), "relu": (True, False)})
    (stage,) = make_stages(make_plan(net.lowered()), ISAS[0], wanted, ())
    assert stage.segment is not None
    assert [op.inputs[0] for op in stage.segment.program.ops if isinstance(op, Count)] == ["y", "relu"]


def test_places_of_what_is_found() -> None:
    assert kernel.NOTHING == counters.NOTHING


@pytest.mark.parametrize("zero", [3, 4])
def test_ties_at_the_ends_of_a_float32_requantizer(zero: int) -> None:
    """Halves round to the even integer: into the format at an even end, out of it at an odd one."""
    y = Format(8, False, zero_point=(zero,))
    net = Network(images=2)
    net.input("x", (16, 1, 40), Format(8, False))
    net.values["x"][:] = np.r_[40:60, 168:188]
    own = {"w": 4 * np.eye(16, dtype=np.int8).reshape(16, 16, 1, 1), "bias": np.full(16, -201 - 2 * zero)}
    net.layer("y#accumulator", "conv", "x", Format(32), **conv_parameters(**own, pads=(0,) * 4))
    net.layer("y", "requantize_float32", "y#accumulator", y, multiplier=np.float32(0.5), axis=1, **form(y))
    exact = net.values["y#accumulator"] / 2 + zero
    assert (exact == -0.5).any() and (exact == 255.5).any()
    agree_all_packed(net.lowered(), net.given)
