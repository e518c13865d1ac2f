from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from intsim.comparison.explain import explain
from intsim.target import TARGETS
from tests.cli.small_model import small_reals
from tests.comparison.explain.test_explain import check_every_tensor, hand_made
from tests.lowering.test_accumulator import MACHINES

DIFFQUANT = TARGETS["diffquant"]


@pytest.mark.parametrize("facts", MACHINES)
def test_every_tensor_on_any_accumulator(facts: dict[str, Any]) -> None:
    model = hand_made().with_target(replace(DIFFQUANT, **facts))
    assert check_every_tensor(model, small_reals(2)) > 0


def test_what_did_not_fit_is_said() -> None:
    facts: dict[str, Any] = {"lanes": 2, "tree_bits": 9, "tree_overflow": "saturate", "accumulator_bits": 11}
    model = hand_made().with_target(replace(DIFFQUANT, **facts, channels_per_pass=1, spill_bits=6, bias_added="first"))
    step = explain(model, small_reals(4), "conv1_q", (1, 3, 0, 5)).steps[0]
    assert step.op == "conv" and step.equal
    lines = [(line.name, line.how) for line in step.lines]
    assert any(name == "accumulator" and "end of a pass" in how for name, how in lines)
    assert any(name == "tree" and "sum of neighbours" in how and "does not fit" in how for name, how in lines)
    assert any(name == "spill" for name, _ in lines)
    assert lines[-1][0] == "accumulator" and "total" in lines[-1][1]
