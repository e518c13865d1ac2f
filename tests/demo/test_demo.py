from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from intsim import demo
from intsim.demo import demonstration
from intsim.demo.digests import BLOCK
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]

TENSORS = 29


def test_the_json_document(cli: Cli, tmp_path: Path) -> None:
    done = cli("demo", "--images", BLOCK + 1, "--spec-images", 3, "--report", "r.html", "--json")
    document = done.json
    assert (done.code, done.err) == (0, "")
    assert (document["equal"], document["target"], document["images"]) == (True, "diffquant", BLOCK + 1)
    golden = document["golden"]
    assert (golden["equal"], golden["images"], golden["blocks"], golden["wrong"]) == (True, BLOCK, TENSORS, [])
    assert golden["comparison"]["compared"] == TENSORS
    comparisons = document["comparisons"]
    assert comparisons["spec"]["equal"] and comparisons["spec"]["images"] == 3
    assert comparisons["target_onnxruntime"]["equal"]
    for peer in ("torch", "onnxruntime"):
        causes = comparisons[peer]["causes"]
        assert causes.keys() == {"tie"} and causes["tie"] == sum(
            layer["local_mismatches"] or 0 for layer in comparisons[peer]["layers"]
        )
    assert document["skipped"] == {}
    planted = document["planted"]
    assert (planted["caught"], planted["rounding"], planted["right_rounding"]) == (True, "floor", "half_up")
    assert planted["rules_that_fit"] == ["half_up"]
    assert planted["explanation"]["tensor"] == planted["tensor"] == planted["comparison"]["first"]
    assert {"top1", "float_top1", "cd"} == document["accuracy"].keys() and document["accuracy"]["top1"] > 0.8
    assert document["report"] == "r.html"
    assert "floor for half_up" in (tmp_path / "r.html").read_text()


def test_what_it_prints(cli: Cli, tmp_path: Path) -> None:
    done = cli("demo", "--images", 5)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    for part in (
        "1. Run in integers",
        "5 images at",
        "2. Golden vectors and the spec, bit for bit",
        "equal  recorded golden vectors: 29 tensors, 2 images in full",
        "equal  the spec, on unbounded integers: 29 tensors, 5 images",
        "3. What computes in float: PyTorch fake-quant, ONNX Runtime",
        "PyTorch fake-quant:",
        "100.0% tie (half_up here, half_even there)",
        "ONNX Runtime, with --target onnxruntime here: equal, 29 tensors",
        "4. A mistake, planted and caught",
        "planted: floor in the place of half_up at node",
        "golden 8, planted 7",
        "half_up alone gives every golden code of that tensor",
        "report: intsim-demo.html",
    ):
        assert part in done.out
    assert lines[-1].startswith("next: ")
    assert (tmp_path / "intsim-demo.html").exists()


def test_without_the_extras(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in ("torch", "onnxruntime", "jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, package, None)
    done = cli("demo", "--images", 2)
    assert done.code == 0
    assert "PyTorch fake-quant: skipped, PyTorch is not installed: pip install intsim[torch]" in done.out
    assert "no report: " in done.out and "pip install intsim[report]" in done.out
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = cli("demo", "--images", 1, "--report", "/proc/r.html", "--json")
    assert (done.code, done.json["report"]) == (0, None)
    assert done.err.startswith("intsim: no report: cannot write /proc/r.html")
    assert done.json["skipped"].keys() == {"torch", "onnxruntime", "target_onnxruntime"}


@pytest.fixture
def only_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """No float peers and no report: they take the most time."""
    for package in ("torch", "onnxruntime", "jinja2"):
        monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.usefixtures("only_exact")
def test_a_wrong_digest_exits_with_1(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(demo.golden(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["taps"]["mean.codes"]["sha256"][0] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(demo, "golden", lambda: folder)
    done = cli("demo", "--images", BLOCK, "--json")
    assert (done.code, done.json["equal"]) == (1, False)
    assert done.json["golden"]["wrong"] == [{"tensor": "mean.codes", "first_image": 0}]
    assert "DIFFERENT  recorded golden vectors" in cli("demo", "--images", BLOCK).out


@pytest.mark.usefixtures("only_exact")
@pytest.mark.parametrize("rule", ["half_up", "half_down"])
def test_a_mistake_is_caught_or_the_demo_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    monkeypatch.setattr(demonstration, "PLANTED", rule)
    done = cli("demo", "--images", 2)
    assert done.code == (1 if rule == "half_up" else 0)
    assert ("NOT caught: every golden vector is still equal" in done.out) == (rule == "half_up")
