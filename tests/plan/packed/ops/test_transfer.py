"""Reals and codes that enter: what no format takes is told in one line, and arrays of another kind are not read."""

from __future__ import annotations

import numpy as np
import pytest

from intsim.errors import OutOfDomain, UnusableInput
from intsim.lowering import lower
from intsim.model import Model
from intsim.plan import make_plan
from intsim.run.engine import Engine
from intsim.target import TARGETS
from tests.kernels.packed.run import ISAS, needs_instructions
from tests.networks import residual_graph
from tests.plan.packed.paths import agree

pytestmark = needs_instructions

REALS = np.random.default_rng(0).normal(0, 4, (5, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("isa", ISAS)
def test_what_is_no_finite_real(bad: float, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTSIM_ISA", isa)
    model = Model(residual_graph(), TARGETS["diffquant"])
    x = REALS.copy()
    x[3, 2, 7, 1] = bad
    with pytest.raises(UnusableInput, match=rf"input 'image': {bad} at \(3, 2, 7, 1\) is not a finite float32"):
        model.run(x, threads=2)
    with pytest.raises(OutOfDomain, match=r"node 'in' \(quantize\): 'image' holds a NaN or an infinity"):
        Engine(model.plan, 2, isa).run({"image": x})


@pytest.mark.parametrize("isa", ISAS)
def test_arrays_of_another_kind(isa: str) -> None:
    """What a program would read as other bytes, or beyond the end of."""
    plan = make_plan(lower(residual_graph(), TARGETS["diffquant"]))
    for array in (REALS.astype(np.float64), REALS[:, :, :7], REALS[:, 0], REALS.astype(np.int8)):
        with pytest.raises(OutOfDomain, match=r"'image' must be float32\[5, 3, 8, 8\], not "):
            Engine(plan, 1, isa).run({"image": array})


def test_views() -> None:
    """Arrays that are not contiguous."""
    plan = make_plan(lower(residual_graph(), TARGETS["diffquant"]))
    wide = np.random.default_rng(1).normal(0, 4, (5, 8, 3, 16)).astype(np.float32)
    agree(plan, {"image": wide.transpose(0, 2, 1, 3)[..., ::2]})


def test_codes_in_place_of_reals() -> None:
    plan = make_plan(lower(residual_graph(), TARGETS["diffquant"]))
    agree(plan, {"x": np.random.default_rng(2).integers(-128, 128, (5, 3, 8, 8)).astype(np.int8)}, threads=2)
