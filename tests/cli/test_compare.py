from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Cli, Files

FIELDS = {"schema_version", "equal", "compared", "unmatched", "first", "layers"}
LAYER = {"name", "elements", "mismatches", "max_difference"}
TENSORS = 14


@pytest.mark.parametrize("against", ["spec", "target:diffquant"])
def test_equal_exits_with_0(cli: Cli, files: Files, against: str) -> None:
    done = cli("compare", files.model, "--input", files.codes, "--against", against, "--json")
    document = done.json
    assert (done.code, done.err) == (0, "")
    assert document.keys() >= FIELDS and all(layer.keys() >= LAYER for layer in document["layers"])
    assert (document["equal"], document["first"], document["unmatched"]) == (True, None, [])
    assert document["compared"] == len(document["layers"]) == TENSORS
    assert (document["model"], document["target"]) == ("small.onnx", "diffquant")


@pytest.mark.parametrize("against", ["target:onnxruntime", "torch", "onnxruntime"])
def test_a_mismatch_exits_with_1(cli: Cli, files: Files, against: str) -> None:
    done = cli("compare", files.model, "--input", files.labelled, "--against", against, "--json")
    document = done.json
    assert done.code == 1
    differing = [layer["name"] for layer in document["layers"] if layer["mismatches"]]
    assert (document["equal"], document["first"]) == (False, differing[0])
    assert document["causes"].keys() == {"tie"}
    assert {"top1", "peer_top1", "agreement", "cd"} == document["accuracy"].keys()


def test_the_table_names_what_differs(cli: Cli, files: Files) -> None:
    done = cli("compare", files.model, "--input", files.codes, "--against", "torch")
    assert done.code == 1
    assert done.out.startswith("small.onnx, target diffquant (auto: every scale is a power of two), against torch")
    add1 = next(line for line in done.out.splitlines() if line.startswith("add1_q"))
    assert "tie" in add1 and "->" in add1
    assert "codes differ" in done.out and "causes of the differences on equal inputs: tie" in done.out
    assert "\x1b" not in done.out


def test_isolated_leaves_the_local_differences(cli: Cli, files: Files) -> None:
    compare = ("compare", files.model, "--input", files.codes, "--against", "onnxruntime", "--json")
    whole, isolated = cli(*compare).json, cli(*compare, "--isolated").json
    assert isolated["isolated"] and not whole["isolated"]
    local = {layer["name"]: layer["local_mismatches"] for layer in whole["layers"] if layer["local_mismatches"]}
    assert local == {layer["name"]: layer["mismatches"] for layer in isolated["layers"] if layer["mismatches"]}


def test_the_report(cli: Cli, files: Files, tmp_path: Path) -> None:
    arguments = ("compare", files.model, "--input", files.codes, "--against", "torch", "--report", "sub/r.html")
    done = cli(*arguments, "--json")
    page = (tmp_path / "sub/r.html").read_text()
    assert done.code == 1 and done.json["first"] in page and "<svg" in page
    assert "wrote sub/r.html" in done.err


def test_recorded_codes(cli: Cli, files: Files, tmp_path: Path) -> None:
    cli("run", files.model, "--input", files.codes, "--output", "dump", "--tap", "codes")
    done = cli("compare", files.model, "--input", files.codes, "--against", "dump:dump", "--json")
    assert (done.code, done.json["compared"]) == (0, TENSORS)
    path = tmp_path / "dump/sub1_q.npy"
    codes = np.load(path)
    codes[1, 2, 0, 3] += 1
    np.save(path, codes)
    forged = cli("compare", files.model, "--input", files.codes, "--against", "dump:dump")
    assert forged.code == 2 and "sha256" in forged.err
    index = json.loads((tmp_path / "dump/index.json").read_text())
    index["tensors"]["sub1_q"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "dump/index.json").write_text(json.dumps(index))
    wrong = cli("compare", files.model, "--input", files.codes, "--against", "dump:dump", "--json")
    assert (wrong.code, wrong.json["first"], wrong.json["mismatches"]) == (1, "sub1_q", 1)
    layer = next(layer for layer in wrong.json["layers"] if layer["name"] == "sub1_q")
    assert layer["first"]["coordinate"] == [1, 2, 0, 3]
    assert layer["first"]["expected"] - layer["first"]["actual"] == 1


def test_nothing_compared_is_not_equal(cli: Cli, files: Files, tmp_path: Path) -> None:
    cli("run", files.model, "--input", files.codes, "--output", "dump")
    text = (tmp_path / "dump/index.json").read_text()
    (tmp_path / "dump/index.json").write_text(text.replace('"fc_q":', '"x":').replace('"logits":', '"y":'))
    done = cli("compare", files.model, "--input", files.codes, "--against", "dump:dump")
    assert done.code == 2 and "nothing to compare" in done.err and done.out == ""


def test_a_narrow_terminal(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intsim.cli.compare.wide", lambda: False)
    lines = cli("compare", files.model, "--input", files.codes, "--against", "target:onnxruntime").out.splitlines()
    assert lines[1].split("  ")[0] == "tensor" and "op" not in lines[1].split() and "LSB" in lines[1]
    add1 = next(line for line in lines if line.startswith("add1_q"))
    assert add1.endswith("tie") and "0,0,0,1: " in add1


@pytest.mark.parametrize(("written", "peer"), [("ort", "onnxruntime"), ("pytorch", "torch")])
def test_other_names_of_peers(cli: Cli, files: Files, written: str, peer: str) -> None:
    same = [cli("compare", files.model, "--input", files.codes, "--against", a, "--json") for a in (written, peer)]
    assert same[0].code in (0, 1) and same[0] == same[1]
