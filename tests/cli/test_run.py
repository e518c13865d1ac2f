from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import intsim
from tests.cli.conftest import IMAGES, Cli, Files
from tests.cli.small_model import small_images


def test_the_outputs_and_the_index(cli: Cli, files: Files, tmp_path: Path) -> None:
    done = cli("run", files.model, "--input", files.reals, "--output", "out")
    assert (done.code, done.err) == (0, "")
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert index["tensors"].keys() == {"logits", "fc_q"}
    assert index["tensors"]["logits"]["shape"] == [IMAGES, 4]
    codes = np.load(tmp_path / "out" / index["tensors"]["logits"]["file"])
    expected = intsim.load(files.model).run(small_images(IMAGES)).outputs["logits"].values
    assert codes.dtype == np.int8 and np.array_equal(codes, expected)
    assert "wrote out/index.json and 2 .npy files" in done.out


def test_every_tensor_is_tapped(cli: Cli, files: Files, tmp_path: Path) -> None:
    arguments = ("--tap", "codes", "--tap", "accumulator@fc_q", "--tap", "saturation@conv*", "--tap", "overflow")
    done = cli("run", files.model, "--input", files.codes, "--output", "out", *arguments, "--json")
    document, index = done.json, json.loads((tmp_path / "out/index.json").read_text())
    assert document["tensors"] == index["tensors"]
    assert document["taps"] == index["taps"]
    assert {"image_q", "conv1_q", "mean1_q", "fc_q#accumulator", "logits"} <= document["tensors"].keys()
    assert document["taps"]["conv1_q"]["saturation"]["elements"] == IMAGES * 4 * 8 * 8
    assert document["taps"]["conv2_q"]["overflow"]["count"] == 0
    result = intsim.load(files.model).run(small_images(IMAGES), taps=["codes", "accumulator"])
    for name, tap in result.taps.items():
        assert tap.codes is not None
        assert np.array_equal(np.load(tmp_path / "out" / index["tensors"][name]["file"]), tap.codes)
    accumulator = index["tensors"]["fc_q#accumulator"]
    stored = np.load(tmp_path / "out" / accumulator["file"])
    sums = result.taps["fc_q"].accumulator
    assert sums is not None and np.array_equal(stored, sums)
    assert (stored.dtype, accumulator["format"]["bits"]) == (np.int32, 32)
    assert document.keys() == {
        "schema_version", "model", "target", "images", "output", "tensors", "taps", "overflows", "accuracy"
    }  # fmt: skip


def test_reals_and_their_codes_give_the_same(cli: Cli, files: Files, tmp_path: Path) -> None:
    for name, path in (("a", files.reals), ("b", f"image={files.codes}"), ("c", files.labelled)):
        assert cli("run", files.model, "--input", path, "--output", name, "--threads", 1).code == 0
    a, b, c = (np.load(tmp_path / name / "logits.npy") for name in "abc")
    assert np.array_equal(a, b) and np.array_equal(a, c)


def test_labels_give_an_accuracy(cli: Cli, files: Files) -> None:
    document = cli("run", files.model, "--input", files.labelled, "--output", "out", "--json").json
    best = intsim.load(files.model).run(small_images(IMAGES)).outputs["logits"].values.argmax(axis=1)
    assert document["accuracy"] == {"top1": np.mean(best == np.arange(IMAGES) % 4)}


def test_overflow_is_never_silent(cli: Cli, files: Files, tmp_path: Path) -> None:
    (tmp_path / "narrow.toml").write_text("accumulator_bits = 13\n")
    done = cli("run", files.model, "--input", files.codes, "--output", "out", "--target", "narrow.toml", "--json")
    overflows = done.json["overflows"]
    assert done.code == 0 and overflows["conv1_q"] > 0
    assert f"warning: {overflows['conv1_q']:,} sums of 'conv1_q' left their accumulator" in done.err


def test_its_own_folder_is_replaced_and_no_other(cli: Cli, files: Files, tmp_path: Path) -> None:
    run = ("run", files.model, "--input", files.codes, "--output", "out")
    assert cli(*run, "--tap", "codes").code == 0
    assert cli(*run).code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"index.json", "logits.npy", "fc_q.npy"}
    (tmp_path / "out/mine.txt").write_text("keep")
    done = cli(*run)
    assert done.code == 2 and "not empty" in done.err
    assert (tmp_path / "out/mine.txt").read_text() == "keep"


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(cli: Cli, files: Files, tmp_path: Path, threads: int) -> None:
    cli("run", files.model, "--input", files.codes, "--output", "out", "--threads", threads)
    expected = intsim.load(files.model).run(small_images(IMAGES), engine="spec").outputs["logits"].values
    assert np.array_equal(np.load(tmp_path / "out/logits.npy"), expected)
