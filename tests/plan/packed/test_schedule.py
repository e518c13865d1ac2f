"""Several programs with portable layers between them, and taps in the middle of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.lowering.lowered import Lowered
from intsim.plan import Plan, make_plan
from intsim.plan.packed.schedule import Segment, schedule
from intsim.plan.stages import make_stages
from intsim.plan.wanted import Wanted
from intsim.run.engine import Engine
from intsim.taps.tap import TapSpec
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.networks import evaluate
from tests.plan.packed.chains import Network, form
from tests.plan.packed.paths import agree, assert_taps

pytestmark = needs_instructions

X = Format(8, signed=False, scale=(0.25,), zero_point=(113,))
Y = Format(8, scale=(0.0625,), zero_point=(4,))
ADD: dict[str, Any] = {"a_shift": 0, "b_shift": 1, "a_zero": 4, "b_zero": 4, "shift": 0, "rounding": "half_up"}
MOVED: dict[str, Any] = {"pads": (0, 1, 0, 0, 0, -1, 0, 0), "mode": "edge"}
"""By a channel, the first one repeated."""


def network() -> tuple[Plan, dict[str, Any]]:
    """Packed: y1, y2, total, y3; portable: a Pad, an add whose channels are broadcast, which clips, and another Pad."""
    net = Network(images=5)
    net.input("x", (6, 5, 7), X)
    net.conv("y1", "x", 20, Y, x_zero=113)
    net.layer("moved", "pad", "y1", Y, **MOVED)
    net.conv("y2", "moved", 20, Y, x_zero=4)
    net.layer("line", "slice", "y2", Y, starts=(0,), ends=(1,), axes=(1,), steps=(1,))
    net.layer("sum", "add", "y2 line", Y, **ADD, **form(Y))
    net.layer("back", "pad", "sum", Y, **MOVED)
    net.layer("total", "add", "back y1", Y, **ADD, **form(Y))
    net.conv("y3", "total", 5, Y, x_zero=4)
    lowered = net.lowered()
    return make_plan(lowered), net.given


PLAN, INPUTS = network()


def items(lowered: Lowered, *wanted: str) -> list[str]:
    """A program by its layers, another layer by its name in brackets."""
    found = schedule(lowered, lowered.layers, PLAN.bounds, ISAS[0], Wanted(frozenset(wanted)))
    return [
        " ".join(layer.name for layer in item.layers) if isinstance(item, Segment) else f"[{item.name}]"
        for item in found
    ]


def test_programs_and_layers() -> None:
    assert items(PLAN.lowered, "y3") == [
        "y1#accumulator y1",
        "[moved]",
        "y2#accumulator y2 line",
        "[sum]",
        "[back]",
        "total y3#accumulator y3",
    ]


def test_arrays_pass_between_them() -> None:
    """Each program makes what is read outside, and takes in what is made outside, once."""
    stages = make_stages(PLAN, ISAS[0], Wanted(frozenset(["y3"])), ())
    parts = [stage.segment for stage in stages if stage.segment is not None]
    assert [(tuple(p.inputs), tuple(p.made)) for p in parts] == [
        (("x",), ("y1",)),
        (("moved",), ("y2", "line")),
        (("back", "y1"), ("y3",)),
    ]
    assert [stage.release for stage in stages if "y1" in stage.release] == [("back", "y1")]


@pytest.mark.parametrize("threads", [1, 2])
def test_every_tap(threads: int) -> None:
    agree(PLAN, INPUTS, threads)


@pytest.mark.parametrize("isa", ISAS)
def test_saturation_in_programs_and_in_portable_layers(isa: str) -> None:
    """Both kinds clip, at both ends, in one run; each clipped result is counted once."""
    expected = evaluate(PLAN.lowered, INPUTS)
    taps = Engine(PLAN, 2, isa).run(INPUTS, [TapSpec("saturation")]).taps
    for name, a, b in (("sum", "y2", "line"), ("total", "back", "y1")):
        exact = (expected[a].astype(int) - 4) + 2 * (expected[b].astype(int) - 4) + 4
        counts = int((exact < -128).sum()), int((exact > 127).sum())
        saturation = taps[name].saturation
        assert saturation is not None and (saturation.low, saturation.high) == counts
        assert min(counts) > 0
    assert_taps_alone(isa)


def assert_taps_alone(isa: str) -> None:
    """A tap on one tensor gives what it gives beside others."""
    alike = Engine(PLAN, 1, isa).run(INPUTS, [TapSpec("saturation", "total"), TapSpec("extremes", "y2")])
    wanted = Engine(PLAN, 1, "portable").run(INPUTS, [TapSpec("saturation", "total"), TapSpec("extremes", "y2")])
    assert_taps(alike, wanted)


@pytest.mark.parametrize("isa", ISAS)
def test_counts_of_each_image(isa: str) -> None:
    """One histogram an image, in the order of the images, over more images than are run at a time."""
    many = {"x": np.concatenate([INPUTS["x"]] * 7)}
    expected = evaluate(PLAN.lowered, INPUTS)
    taps = Engine(PLAN, 2, isa).run(many, [TapSpec("histogram", per_image=True)]).taps
    for name in ("y1", "sum", "y3"):
        rows = [np.bincount(image.ravel().astype(int) + 128, minlength=256) for image in expected[name]]
        np.testing.assert_array_equal(taps[name].histogram, rows * 7)


@pytest.mark.parametrize("isa", ISAS)
def test_a_tap_in_the_middle_divides_nothing(isa: str) -> None:
    """A program goes on after what is shown or counted."""
    stages = make_stages(PLAN, isa, Wanted(frozenset(["total", "y3"]), {"y1": (True, False)}, frozenset(["y2"])), ())
    assert [stage.segment is not None for stage in stages] == [True, False, True, False, False, True]
    last = stages[-1].segment
    assert last is not None and tuple(last.made) == ("total", "y3")


def test_layers_that_nothing_needs_are_left_out() -> None:
    stages = make_stages(PLAN, ISAS[0], Wanted(frozenset(["y1"])), ())
    assert [layer.name for stage in stages for layer in stage.layers] == ["y1#accumulator", "y1"]
