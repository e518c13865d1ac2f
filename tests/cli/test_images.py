"""Folders of images on the command line: the shipped model gives for PNG files what it gives for the same codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import intsim
from intsim.images import METADATA
from intsim.importers.onnx.model_file import read_model
from tests.cli.conftest import Cli

Array = np.ndarray[Any, Any]

DEMO = Path(intsim.__file__).parent / "demo"
MODEL = str(DEMO / "model.onnx")

GRAY = """
preprocess_version = 1
channels = "gray"
scale = 128
mean = 1
"""
"""What the shipped model takes: pixel / 128 - 1."""

COUNT = 12


@pytest.fixture(scope="module")
def images() -> tuple[Array, Array]:
    """Codes and labels of the first test images, sorted by label, as a folder of classes is."""
    with np.load(DEMO / "images.npz") as data:
        codes, labels = data["x"][:COUNT], data["y"][:COUNT]
    order = np.argsort(labels, kind="stable")
    return codes[order], labels[order]


def write(folder: Path, codes: Array, labels: Array | None) -> None:
    """PNG files whose names keep the order; all ten classes have a folder."""
    for index, image in enumerate(codes):
        inner = folder if labels is None else folder / f"class{labels[index]}"
        inner.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[0].astype(np.int16) + 128).astype(np.uint8)).save(inner / f"{index:04}.png")
    if labels is not None:
        for label in range(10):
            (folder / f"class{label}").mkdir(exist_ok=True)


@pytest.fixture
def here(tmp_path: Path, images: tuple[Array, Array]) -> Path:
    """photos/ (by class), flat/, gray.toml, codes.npz and reals.npy of the same images."""
    codes, labels = images
    write(tmp_path / "photos", codes, labels)
    write(tmp_path / "flat", codes, None)
    (tmp_path / "gray.toml").write_text(GRAY)
    np.savez(tmp_path / "codes.npz", x=codes, y=labels)
    np.save(tmp_path / "reals.npy", codes.astype(np.float32) / 128)
    return tmp_path


def test_run(cli: Cli, here: Path) -> None:
    done = cli("run", MODEL, "--input", "photos", "--preprocess", "gray.toml", "--output", "a", "--json")
    assert (done.code, done.err) == (0, "")
    given = cli("run", MODEL, "--input", "codes.npz", "--output", "b", "--json")
    document = done.json
    assert document["images"] == COUNT and document["accuracy"] == given.json["accuracy"]
    assert 0.5 < document["accuracy"]["top1"] <= 1
    assert document["tensors"].keys() == given.json["tensors"].keys()
    cli("run", MODEL, "--input", "image=flat", "--preprocess", "gray.toml", "--output", "c", "--json")
    files = [tensor["file"] for tensor in document["tensors"].values()]
    for file in files:
        expected = np.load(here / "b" / file)
        assert np.array_equal(np.load(here / "a" / file), expected)
        assert np.array_equal(np.load(here / "c" / file), expected)


def test_a_flat_folder_has_no_accuracy(cli: Cli, here: Path) -> None:
    done = cli("run", MODEL, "--input", "flat", "--preprocess", "gray.toml", "--output", "out", "--json")
    assert (done.code, done.json["images"], done.json["accuracy"]) == (0, COUNT, {})


def test_compare(cli: Cli, here: Path) -> None:
    done = cli(
        "compare", MODEL, "--input", "photos", "--preprocess", "gray.toml", "--against", "target:diffquant", "--json"
    )
    given = cli("compare", MODEL, "--input", "codes.npz", "--against", "target:diffquant", "--json")
    assert (done.code, done.json) == (0, given.json)


def test_histogram(cli: Cli, here: Path) -> None:
    assert cli("histogram", MODEL, "--input", "photos", "--preprocess", "gray.toml", "--output", "a.npz").code == 0
    assert cli("histogram", MODEL, "--input", "codes.npz", "--output", "b.npz").code == 0
    with np.load(here / "a.npz") as a, np.load(here / "b.npz") as b:
        assert np.array_equal(a["counts"], b["counts"])


def test_ranges(cli: Cli, here: Path) -> None:
    done = cli("ranges", MODEL, "--input", "photos", "--preprocess", "gray.toml", "--json")
    assert (done.code, done.json) == (0, cli("ranges", MODEL, "--input", "codes.npz", "--json").json)


def test_explain(cli: Cli, here: Path) -> None:
    tensor = next(iter(intsim.load(MODEL).lowered.outputs.values()))
    element = ("--tensor", tensor, "--index", f"{COUNT - 1},3", "--json")
    done = cli("explain", MODEL, "--input", "photos", "--preprocess", "gray.toml", *element)
    assert (done.code, done.json) == (0, cli("explain", MODEL, "--input", "codes.npz", *element).json)


def test_quantize_writes_the_preprocessing_into_the_model(cli: Cli, here: Path) -> None:
    float_model = DEMO / "float.onnx"
    done = cli("quantize", float_model, "--calibration", "flat", "--preprocess", "gray.toml", "--output", "a.onnx")
    assert (done.code, done.err) == (0, "")
    assert cli("quantize", float_model, "--calibration", "reals.npy", "--output", "b.onnx").code == 0
    a, b = onnx.load(here / "a.onnx"), onnx.load(here / "b.onnx")
    assert a.graph == b.graph
    assert METADATA in read_model(here / "a.onnx").metadata and METADATA not in read_model(here / "b.onnx").metadata
    # From now on no command needs to be told.
    done = cli("run", "a.onnx", "--input", "photos", "--output", "out", "--json")
    given = cli("run", "b.onnx", "--input", "codes.npz", "--output", "out", "--json")
    assert (done.code, done.json["accuracy"]) == (0, given.json["accuracy"])
    # A float model that says how keeps it.
    floats = onnx.load(float_model)
    onnx.helper.set_model_props(floats, {METADATA: read_model(here / "a.onnx").metadata[METADATA]})
    onnx.save(floats, here / "float.onnx")
    assert cli("quantize", "float.onnx", "--calibration", "flat", "--output", "c.onnx").code == 0
    assert read_model(here / "c.onnx").metadata == read_model(here / "a.onnx").metadata


def test_neither_file_nor_metadata(cli: Cli, here: Path) -> None:
    for command in (
        ("run", MODEL, "--input", "photos", "--output", "out"),
        ("quantize", DEMO / "float.onnx", "--calibration", "photos", "--output", "q.onnx"),
    ):
        done = cli(*command)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("intsim: error: photos: a folder of images") and done.err.count("\n") == 1
        assert "no --preprocess P.toml" in done.err and "'intsim.preprocess'" in done.err


def test_preprocess_without_a_folder(cli: Cli, here: Path) -> None:
    message = "intsim: error: --preprocess gray.toml is for folders of images, and no input is one; leave it out\n"
    for command in (
        ("run", MODEL, "--input", "codes.npz", "--preprocess", "gray.toml", "--output", "out"),
        ("ranges", MODEL, "--preprocess", "gray.toml"),
        ("quantize", DEMO / "float.onnx", "--calibration", "reals.npy", "--preprocess", "gray.toml", "--output", "q"),
    ):
        done = cli(*command)
        assert (done.code, done.err) == (2, message)


def test_an_image_at_fault_is_one_line(cli: Cli, here: Path) -> None:
    path = here / "flat" / "0003.png"
    path.write_bytes(path.read_bytes()[:100])
    done = cli("run", MODEL, "--input", "flat", "--preprocess", "gray.toml", "--output", "out")
    assert done.code == 2 and done.err.startswith("intsim: error: flat/0003.png: not a readable image (")
    assert done.err.count("\n") == 1


def test_a_shape_that_the_model_does_not_take_is_told_at_the_first_image(cli: Cli, here: Path) -> None:
    (here / "gray.toml").write_text(GRAY + 'resize = { shorter_side = 32, interpolation = "bicubic" }\n')
    for command in (
        ("run", MODEL, "--input", "flat", "--preprocess", "gray.toml", "--output", "out"),
        ("quantize", DEMO / "float.onnx", "--calibration", "flat", "--preprocess", "gray.toml", "--output", "q.onnx"),
    ):
        done = cli(*command)
        assert done.code == 2
        assert "0000.png: preprocessed it has the shape [1, 32, 32], the model takes [1, 28, 28]" in done.err


def test_what_is_left_out_is_told(cli: Cli, here: Path) -> None:
    (here / "flat" / "labels.csv").write_text("0003.png, 5")
    done = cli("run", MODEL, "--input", "flat", "--preprocess", "gray.toml", "--output", "out")
    assert done.code == 0
    assert done.err == "intsim: flat: left out, as no images by their names: 1 (first: flat/labels.csv)\n"


def test_without_pillow(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    done = cli("run", MODEL, "--input", "flat", "--preprocess", "gray.toml", "--output", "out")
    assert done.code == 2 and "pip install 'intsim[images]'" in done.err
