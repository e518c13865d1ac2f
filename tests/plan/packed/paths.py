"""Every instruction set against the spec and against the portable loops: outputs, codes, sums and every count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from intsim.lowering.lowered import Lowered
from intsim.plan import Plan, make_plan
from intsim.plan.choose import Choice
from intsim.plan.stages import choices_on
from intsim.run.engine import Engine
from intsim.run.reference import run_reference
from intsim.run.result import Result
from intsim.taps.tap import TapSpec
from tests.kernels.packed.run import ISAS

Array = np.ndarray[Any, Any]

KINDS = ("codes", "accumulator", "histogram", "extremes", "saturation", "overflow")


def requests(lowered: Lowered) -> tuple[tuple[TapSpec, ...], ...]:
    """Taps that leave every layer to programs, none that can be seen, all that count, and some in the middle."""
    codes = [TapSpec("codes"), *[TapSpec("codes", "*#*")] * any("#" in name for name in lowered.values)]
    sums = [TapSpec("accumulator")] * bool(lowered.accumulators)
    counts = TapSpec("histogram"), TapSpec("extremes"), TapSpec("saturation")
    few = TapSpec("extremes"), TapSpec("saturation")
    tensors = [name for name in lowered.values if name in lowered.graph.values and name not in lowered.graph.constants]
    middle = TapSpec("codes", tensors[len(tensors) // 2])
    return (), (*codes, *sums), counts, few, (TapSpec("histogram", per_image=True), TapSpec("saturation"), middle)


def agree(
    plan: Plan, inputs: Mapping[str, Array], threads: int = 1, isas: Sequence[str] = ISAS
) -> dict[str, tuple[Choice, ...]]:
    """Assert that each instruction set gives the spec's outputs and the portable loops' taps; its choices by its name.

    inputs: by value name. isas: every one that this processor has, unless others are named.
    """
    expected = run_reference(plan.lowered, inputs)
    wishes = requests(plan.lowered)
    portable = [Engine(plan, 1, "portable").run(inputs, taps) for taps in wishes]
    for result in portable:
        assert_outputs(plan.lowered, result, expected)
    for isa in isas:
        engine = Engine(plan, threads, isa)
        for taps, wanted in zip(wishes, portable, strict=True):
            result = engine.run(inputs, taps)
            assert_outputs(plan.lowered, result, expected)
            assert_taps(result, wanted)
    return {isa: choices_on(plan, isa) for isa in isas}


def assert_outputs(lowered: Lowered, result: Result, expected: Mapping[str, Array]) -> None:
    """Each output's array is the expected one, in its dtype."""
    for name, value in lowered.outputs.items():
        found = result.outputs[name].values
        assert found.dtype == expected[value].dtype, name
        assert np.array_equal(found, expected[value]), name


def assert_taps(result: Result, wanted: Result) -> None:
    """Each tap has the same arrays and numbers."""
    assert result.taps.keys() == wanted.taps.keys()
    for name, tap in result.taps.items():
        for kind in KINDS:
            found, other = getattr(tap, kind), getattr(wanted.taps[name], kind)
            assert (found is None) == (other is None), (name, kind)
            assert np.array_equal(found, other) if isinstance(found, np.ndarray) else found == other, (name, kind)


def agree_all_packed(lowered: Lowered, inputs: Mapping[str, Array], threads: int = 1) -> None:
    """`agree`, and every layer has a packed kernel of its instruction set or one for all of them."""
    for isa, choices in agree(make_plan(lowered), inputs, threads).items():
        assert not [choice.refused for choice in choices if choice.refused], isa
