"""docs/targets.md is what the code says, and the code says it for every target and requantizer."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from intsim import spec
from intsim.formats import Format
from intsim.lowering import requantizers
from intsim.lowering.families import FAMILIES
from intsim.target import REQUANTIZERS, TARGET_SOURCES, TARGETS
from tools import write_docs

SPEC = Path(spec.__file__).parent
NAMES = sorted(file.stem for file in SPEC.glob("requantize*.py"))


def test_the_page_is_what_the_code_says() -> None:
    assert write_docs.FILE.read_text() == write_docs.page(), "run python tools/write_docs.py"


def test_a_stale_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "docs/targets.md"
    stale.parent.mkdir()
    stale.write_text(write_docs.page().replace("half_up", "half_down", 1))
    monkeypatch.setattr(write_docs, "ROOT", tmp_path)
    monkeypatch.setattr(write_docs, "FILE", stale)
    outcome = CliRunner().invoke(write_docs.command, ["--check"])
    assert outcome.exit_code == 1 and outcome.output == "docs/targets.md is stale: run python tools/write_docs.py\n"
    assert CliRunner().invoke(write_docs.command, []).exit_code == 0
    assert CliRunner().invoke(write_docs.command, ["--check"]).exit_code == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_of_a_requantizer_has_formula_parts_and_source(name: str) -> None:
    function = getattr(spec, name)
    assert function.__doc__.startswith("Output codes: ")
    formula, parts, source = write_docs.sections(function)
    assert "acc" in formula and parts and source.endswith((".", ")"))


def test_what_is_said_of_requantizers_and_targets_is_said_of_all_of_them() -> None:
    assert list(TARGET_SOURCES) == list(TARGETS)
    assert set(requantizers.DERIVATIONS) == set(FAMILIES) == set(REQUANTIZERS)
    assert {write_docs.function_of(name) for name in REQUANTIZERS} <= set(NAMES)


def test_what_computes_in_float_is_said_to() -> None:
    functions = {name: write_docs.function_of(name) for name in REQUANTIZERS}
    floats = {name for name, function in functions.items() if hasattr(getattr(spec, function), "__wrapped__")}
    assert floats == set(requantizers.FLOATS)


@pytest.mark.parametrize("name", sorted(requantizers.REQUANTIZERS))
def test_the_function_of_wide_sums_is_the_one_that_is_named(name: str) -> None:
    one = Format(16, scale=(1.0,))
    scaling = requantizers.Scaling(one.scales, one.scales, one.scales)
    op, _ = requantizers.requantization(name, scaling, one, 48, TARGETS["diffquant"])
    narrow, _ = requantizers.requantization(name, scaling, one, 32, TARGETS["diffquant"])
    assert op == requantizers.WIDE.get(name, narrow)
    assert narrow == write_docs.function_of(name)
