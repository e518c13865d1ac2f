from __future__ import annotations

import pytest

from intsim.cli.explain import parse_index
from intsim.comparison.explain import explanation
from intsim.errors import UnusableInput
from tests.cli.conftest import Cli, Files


def test_every_step_is_shown(cli: Cli, files: Files) -> None:
    done = cli("explain", files.model, "--input", files.codes, "--tensor", "conv1_q", "--index", "3,3,3,5")
    assert (done.code, done.err) == (0, "")
    for part in ("1. conv:", "2. requantize:", "3. clip:", "… 2 more", "sum of products", "bias", "accumulator"):
        assert part in done.out
    assert "a tie; half_up" in done.out
    assert "other rules: 50 by half_down half_even half_to_zero floor toward_zero" in done.out
    assert "The engine computed the same." in done.out


def test_all_terms(cli: Cli, files: Files) -> None:
    explain = ("explain", files.model, "--input", files.codes, "--tensor", "conv2_q", "--index", "0,1,2,3")
    short, whole = cli(*explain).out, cli(*explain, "--all").out
    assert "… 20 more" in short and "more" not in whole
    assert len(whole.splitlines()) == len(short.splitlines()) + 20 - 1


def test_the_json_document(cli: Cli, files: Files) -> None:
    arguments = ("--input", files.codes, "--tensor", "conv2_q", "--index", "[0, 1, 2, 3]", "--json")
    document = cli("explain", files.model, *arguments).json
    assert document["schema_version"] == 1
    assert (document["tensor"], document["index"], document["equal"]) == ("conv2_q", [0, 1, 2, 3], True)
    acc, requantize = document["steps"]
    assert len(acc["terms"]) == 4 * 3 * 3
    assert (
        acc["terms"][-1]["sum"] + next(line["value"] for line in acc["lines"] if line["name"] == "bias") == acc["value"]
    )
    assert requantize["engine"] == requantize["value"] == document["value"]


def test_a_wrong_engine_exits_with_1(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation.Step, "equal", property(lambda self: self.op != "requantize"))
    done = cli("explain", files.model, "--input", files.codes, "--tensor", "conv2_q", "--index", "0,0,0,0")
    assert done.code == 1 and "The engine computed" in done.out and "computed the same" not in done.out


@pytest.mark.parametrize("text", ["1,2,3", "[1, 2, 3]", "(1, 2, 3)", " 1,2,3, "])
def test_coordinates_as_they_are_printed(text: str) -> None:
    assert parse_index(text) == (1, 2, 3)


@pytest.mark.parametrize("text", ["a", "1,b", "1.5", "1;2"])
def test_other_coordinates_are_refused(text: str) -> None:
    with pytest.raises(UnusableInput, match="must be integers with commas"):
        parse_index(text)
