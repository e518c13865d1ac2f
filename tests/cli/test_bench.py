from __future__ import annotations

import functools
import sys

import numpy as np
import pytest

import intsim.benchmark
from intsim.cli import bench
from tests.cli.conftest import IMAGES, Cli, Files
from tests.cli.test_errors import check_refused

QUICK = ("--rounds", 1, "--threads", 1)
PEERS = ("intsim", "onnxruntime")


@pytest.fixture(autouse=True)
def one_call_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = functools.partial(intsim.benchmark.interleave, window=0, patience=0)
    monkeypatch.setattr(intsim.benchmark, "interleave", quick)


def test_the_json_document(cli: Cli, files: Files) -> None:
    pytest.importorskip("onnxruntime")
    done = cli("bench", files.odd, "--batch", 3, "--json", *QUICK)
    document = done.json
    assert done.code == 0 and document["schema_version"] == 1
    assert (document["model"], document["target"], document["threads"]) == ("odd.onnx", "onnxruntime", 1)
    assert (document["batch"], document["macs"]) == (3, 6944)
    for name in PEERS:
        assert 0 < document[f"{name}_best_ms"] <= document[f"{name}_ms"]
    assert document["gmacs"] == pytest.approx(6944 / document["intsim_ms"] / 1e6, abs=0.01)
    assert document["onnxruntime_missing"] is None and document["outputs_equal"] in (True, False)


def test_the_share_of_the_peak(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intsim.benchmark.peak_call", lambda threads: (lambda: None, 10**9))
    document = cli("bench", files.model, "--json", *QUICK).json
    expected = 6944 / (document["intsim_ms"] / 1e3) / (document["peak_gmacs"] * 1e9)
    assert document["share_of_peak"] == pytest.approx(expected, abs=1e-4)
    monkeypatch.setattr("intsim.benchmark.peak_call", lambda threads: None)
    document = cli("bench", files.model, "--json", *QUICK).json
    assert document["peak_gmacs"] is document["share_of_peak"] is document["onnxruntime_share_of_peak"] is None


def test_the_table(cli: Cli, files: Files) -> None:
    pytest.importorskip("onnxruntime")
    lines = cli("bench", files.model, *QUICK).out.splitlines()
    title = "small.onnx, target diffquant (auto: every scale is a power of two), batch 1, 1 thread, "
    assert lines[0] == title + "6.944e-06 GMAC an image"
    assert lines[1].split()[:2] == ["runtime", "ms"]
    assert [line.split()[0] for line in lines[2:4]] == [*PEERS]
    assert lines[2].endswith("1.00x")
    assert any(line.startswith("outputs: ") for line in lines)


@pytest.mark.parametrize("input", ["reals", "codes", "labelled"])
def test_given_images_are_repeated_to_fill_the_batch(
    cli: Cli, files: Files, input: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {}
    prepare = bench.prepare_calls

    def spy(model: object, arrays: dict[str, np.ndarray], threads: int) -> object:
        given.update(arrays)
        return prepare(model, arrays, threads)  # type: ignore[arg-type]

    monkeypatch.setattr(bench, "prepare_calls", spy)
    path = getattr(files, input)
    done = cli("bench", files.model, "--input", path, "--batch", IMAGES + 2, "--json", *QUICK)
    assert done.code == 0 and done.json["batch"] == IMAGES + 2
    x = np.load(path)
    x = x["x"] if input == "labelled" else x
    assert np.array_equal(given["image"], np.concatenate([x, x[:2]]))


def test_without_onnxruntime_it_says_so(cli: Cli, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = cli("bench", files.model, *QUICK)
    assert done.code == 0 and "onnxruntime is not installed: pip install intsim[ort]" in done.out
    document = cli("bench", files.model, "--json", *QUICK).json
    assert document["onnxruntime_ms"] is document["outputs_equal"] is None
    assert document["onnxruntime_missing"] and document["intsim_ms"] > 0


def test_mistakes(cli: Cli, files: Files) -> None:
    check_refused(cli, ["bench", files.model, "--input", "missing.npy"], "cannot read missing.npy")
    check_refused(cli, ["bench", files.model, "--preprocess", "p.toml"], "--preprocess p.toml is for folders")
    check_refused(cli, ["bench", files.model, "--batch", "0"], "--batch")
    check_refused(cli, ["bench", files.odd, "--target", "diffquant"], "--target onnxruntime")
