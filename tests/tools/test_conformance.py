from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tools import conformance

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).resolve().parents[2]
ROW: dict[str, Any] = {
    "network": "resnet18",
    "target": "onnxruntime",
    "configuration": "qdq-u8-asymmetric-tensor",
    "images": 2,
    "equal": True,
    "compared": 33,
    "tensors": 33,
    "codes": 1_234_567,
    "mismatches": 0,
    "first": None,
    "unmatched": [],
    "resumed": ["softmax"],
    "seconds": 1.25,
}


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)


def run(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], *arguments: str, passing: bool = True) -> Any:
    monkeypatch.setattr(conformance, "compared", lambda *_: iter(rows))
    monkeypatch.setattr(conformance, "release_tests_pass", lambda: passing)
    return CliRunner().invoke(conformance.main, list(arguments))


def test_one_network_in_one_configuration() -> None:
    arguments = ["--network", "resnet18", "--configuration", "qdq-s8-symmetric-tensor", "--size", "32", "--images", "2"]
    command = [sys.executable, "tools/conformance.py", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema_version"], document["size"]) == (1, 32)
    (row,) = document["rows"]
    assert (row["network"], row["images"], row["equal"], row["mismatches"]) == ("resnet18", 2, True, 0)
    assert row["compared"] == row["tensors"] == 50
    assert row["codes"] > 200_000
    assert set(row) == set(ROW)


def test_the_table_has_every_row_and_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, [ROW, {**ROW, "network": "mobilenetv2"}])
    assert done.exit_code == 0
    assert "33 of 33" in done.output
    (total,) = [line for line in done.output.splitlines() if "total" in line]
    assert [cell.strip() for cell in total.split("│")[1:-1]] == [
        "total",
        "2 models",
        "66 of 66",
        "2,469,134",
        "0",
        "2",
        "2.5",
    ]


def test_any_mismatch_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    differing = {**ROW, "equal": False, "mismatches": 12, "first": "conv1"}
    done = run(monkeypatch, [ROW, differing], "--json")
    assert done.exit_code == 1
    assert "12 codes differ" in done.output
    assert run(monkeypatch, [ROW], "--json").exit_code == 0


def test_the_tests_for_a_release_count_unless_one_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, [ROW], passing=False).exit_code == 1
    assert run(monkeypatch, [ROW], "--network", "resnet18", passing=False).exit_code == 0


def test_an_unknown_network_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, [], "--network", "alexnet")
    assert done.exit_code == 2
    assert "alexnet: must be among" in done.output
