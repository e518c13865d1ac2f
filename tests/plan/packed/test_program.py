"""Programs: the same bits on any number of threads, for any number of images, in memory that was used before."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from intsim.formats import Format
from intsim.kernels.packed.crew import Crew
from intsim.lowering.lowered import Lowered
from intsim.plan import make_plan
from intsim.plan.packed import program as program_file
from intsim.plan.packed.image import Padding
from intsim.plan.packed.program import OWN, SLOTS, Program
from intsim.plan.packed.schedule import Segment, schedule
from intsim.plan.wanted import Wanted
from intsim.run.engine import Engine
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.networks import evaluate
from tests.plan.packed.chains import Network, codes, form

pytestmark = needs_instructions

X = Format(8, signed=False, scale=(0.25,), zero_point=(113,))
Y = Format(8, scale=(0.0625,), zero_point=(4,))
ADD: dict[str, Any] = {"a_shift": 0, "b_shift": 0, "a_zero": 4, "b_zero": 4, "shift": 1, "rounding": "half_up"}


def network() -> Lowered:
    """Convolutions with padding, a residual add, a mean, and two matrix products over all images, one after another."""
    net = Network(images=2)
    net.input("x", (3, 25, 24), X)
    net.conv("y1", "x", 20, Y, pads=(1, 0, 1, 2), x_zero=113)
    net.conv("y2", "y1", 20, Y, kernel=5, pads=(2, 1, 2, 3), x_zero=4)
    net.layer("sum", "add", "y1 y2", Y, **ADD, **form(Y))
    mean = {"axes": (2, 3), "keepdims": True, "x_zero": 4, "shift": 0, "rounding": "half_up"}
    net.layer("mean", "reduce_mean", "sum", Y, **mean, **form(Y))
    net.layer("flat", "flatten", "mean", Y, axis=1)
    for name, read, outputs in (("fc1", "flat", 40), ("fc2", "fc1", 7)):
        b = net.random.integers(-128, 128, (net.values[read].shape[1], outputs)).astype(np.int8)
        parameters = {"b": b, "a_zero": 4, "b_zero": 0, "bias": None, "accumulator_bits": 32, "overflow": "wrap"}
        net.layer(f"{name}#accumulator", "matmul", read, Format(32), **parameters)
        rounded = {"shift": 6, "rounding": "half_up", "axis": -1, **form(Y)}
        net.layer(name, "requantize", f"{name}#accumulator", Y, **rounded)
    net.layer("out", "clip", "fc2", Y, low=-100, high=110)
    return net.lowered()


LOWERED = network()
PLAN = make_plan(LOWERED)


def part(isa: str, wanted: Sequence[str] = ("out",)) -> Segment:
    """The one program of the network."""
    (found,) = schedule(LOWERED, LOWERED.layers, PLAN.bounds, isa, Wanted(frozenset(wanted)))
    assert isinstance(found, Segment)
    return found


def batch(images: int, seed: int = 0) -> dict[str, Any]:
    return {"x": codes(np.random.default_rng(seed), (images, 3, 25, 24), X)}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_images(isa: str, threads: int) -> None:
    """Images are shared out over the threads, and those left over divided; each number has its own workspace."""
    crew, program = Crew(threads), part(isa, ("out", "sum"))
    for images in (1, 2, 3, 4, 5, 2):
        for seed in range(3):
            inputs = batch(images, seed)
            expected = evaluate(LOWERED, inputs)
            made = program.compute(inputs, threads, crew).arrays
            for name in ("out", "sum"):
                np.testing.assert_array_equal(made[name], expected[name])


@pytest.mark.parametrize("isa", ISAS)
def test_runs_at_the_same_time(isa: str) -> None:
    """A program is not changed by a run: each has a workspace of its own."""
    program = part(isa)
    inputs = [batch(3, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda x: program.compute(x, 1, _alone).arrays["out"], inputs))
    for x, out in zip(inputs, made, strict=True):
        np.testing.assert_array_equal(out, evaluate(LOWERED, x)["out"])


@pytest.mark.parametrize("isa", ISAS)
def test_many_short_runs_of_two_engines_at_once(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines of two threads each, in two Python threads; every run has the result of one thread."""
    monkeypatch.setattr(program_file, "WORTH_THREADS", 0)
    inputs = [batch(1, seed) for seed in range(2)]
    expected = [Engine(PLAN, 1, isa).run(x).outputs["out"].values for x in inputs]
    engines = [Engine(PLAN, 2, isa) for _ in inputs]

    def runs(number: int) -> int:
        x, engine = inputs[number], engines[number]
        return sum(np.array_equal(engine.run(x).outputs["out"].values, expected[number]) for _ in range(300))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(runs, range(2))) == [300, 300]


@pytest.mark.parametrize("isa", ISAS[:1])
def test_segments_and_places(isa: str) -> None:
    program = part(isa).program
    assert [segment.whole for segment in program.segments] == [False, True, False]
    places = program.places
    assert {name for name in places if places[name].arena == SLOTS} == {"mean", "flat", "fc1", "out"}
    assert places["flat"].offset == places["mean"].offset
    assert places["x"].padding == Padding(1, 0, 1, 2) and places["y1"].padding == Padding(2, 1, 2, 3)
    assert not places["sum"].padding.any
    live = [(op, name) for op, made in enumerate(program.ops) for name in (*made.inputs, made.output) if name in places]
    for name in ("x", "y1", "y2", "sum"):
        own = [op for op, other in live if other == name]
        for other in ("x", "y1", "y2", "sum"):
            others = [op for op, n in live if n == other]
            if name != other and min(own) <= max(others) and min(others) <= max(own):
                a, b = places[name], places[other]
                assert a.offset + a.bytes <= b.offset or b.offset + b.bytes <= a.offset
    assert program.sizes[OWN] < sum(places[name].bytes for name in ("x", "y1", "y2", "sum")) + 1024


@pytest.mark.parametrize("isa", ISAS[:1])
def test_padding_of_values_with_slots(isa: str) -> None:
    """A value that lies beyond its segment keeps its padding from one run to the next."""
    net = Network(images=4)
    net.input("v", (30,), Y)
    b = net.random.integers(-128, 128, (30, 20)).astype(np.int8)
    parameters = {"b": b, "a_zero": 4, "b_zero": 0, "bias": None, "accumulator_bits": 32, "overflow": "wrap"}
    net.layer("fc#accumulator", "matmul", "v", Format(32), **parameters)
    net.layer("fc", "requantize", "fc#accumulator", Y, shift=6, rounding="half_up", axis=-1, **form(Y))
    net.layer("image", "unsqueeze", "fc", Y, axes=(2, 3))
    net.conv("y", "image", 20, Y, pads=(1, 1, 1, 1), x_zero=4)
    lowered = net.lowered()
    bounds = make_plan(lowered).bounds
    (program,) = schedule(lowered, lowered.layers, bounds, isa, Wanted(frozenset(["y"])))
    assert isinstance(program, Segment)
    place = program.program.places["fc"]
    assert (place.arena, place.padding) == (SLOTS, Padding(1, 1, 1, 1))
    for seed in range(3):
        inputs = {"v": codes(np.random.default_rng(seed), (4, 30), Y)}
        np.testing.assert_array_equal(program.compute(inputs, 1, _alone).arrays["y"], evaluate(lowered, inputs)["y"])


def test_nothing_to_do() -> None:
    assert Program([]).segments == ()


def _alone(function: int, argument: int) -> None:
    raise AssertionError("one thread shares nothing")
