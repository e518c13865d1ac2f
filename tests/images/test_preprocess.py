from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from intsim.errors import UnusableInput
from intsim.images import METADATA, Preprocess, find_preprocess
from intsim.images.folder import SUFFIXES, TEMPORARY
from intsim.images.pixels import MOST_PIXELS
from intsim.images.preprocess import INTERPOLATIONS, Resize

IMAGENET = """
preprocess_version = 1
channels = "RGB"
resize = { shorter_side = 256, interpolation = "bilinear" }
crop = { height = 224, width = 224 }
scale = 255
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
layout = "NCHW"
"""

EXPECTED = Preprocess(
    "RGB",
    Resize("bilinear", shorter_side=256),
    (224, 224),
    (255.0, 255.0, 255.0),
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)


def test_a_file_and_metadata_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(IMAGENET)
    assert find_preprocess(tmp_path / "p.toml", {}, "photos") == EXPECTED
    assert find_preprocess(None, {METADATA: EXPECTED.to_json()}, "photos") == EXPECTED
    assert find_preprocess(tmp_path / "p.toml", {METADATA: "no JSON"}, "photos") == EXPECTED


@pytest.mark.parametrize(
    "preprocess",
    [
        EXPECTED,
        Preprocess(),
        Preprocess("gray", Resize("nearest", height=8, width=9), None, (127.5,), (1.0,), (0.5,)),
        Preprocess("BGR", None, (3, 4), (1.0, 2.0, 3.0), (0.0, -1.0, 5.5)),
    ],
)
def test_what_is_written_is_read_back(preprocess: Preprocess) -> None:
    assert Preprocess.from_dict(json.loads(preprocess.to_json())) == preprocess


def test_only_the_version_is_needed_and_one_number_is_for_every_channel() -> None:
    assert Preprocess.from_dict({"preprocess_version": 1}) == Preprocess()
    gray = Preprocess.from_dict({"preprocess_version": 1, "channels": "gray", "mean": 0.5})
    assert (gray.scale, gray.mean, gray.std) == ((255.0,), (0.5,), (1.0,))


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(100, 200, (64, 128)), (200, 100, (128, 64)), (7, 7, (64, 64)), (3, 10, (64, 213)), (10, 3, (213, 64))],
)
def test_the_longer_side_is_rounded_down(height: int, width: int, expected: tuple[int, int]) -> None:
    assert Resize("box", shorter_side=64).size(height, width) == expected
    assert Resize("box", height=5, width=6).size(height, width) == (5, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preprocess_version": None}, "preprocess_version must be 1, it is missing"),
        ({"preprocess_version": 2}, "preprocess_version must be 1, it is 2"),
        ({"preprocess_version": True}, "preprocess_version must be 1, it is True"),
        ({"size": 224}, "unknown entry 'size'; one of preprocess_version, channels"),
        ({"channels": "rgb"}, "channels must be one of RGB, BGR, gray, not 'rgb'"),
        ({"channels": ["RGB"]}, "channels must be one of"),
        ({"layout": "NHWC"}, "layout must be one of NCHW, not 'NHWC'"),
        ({"resize": 256}, "resize must be a table of entries, not 256"),
        ({"resize": {"shorter_side": 256}}, "resize: interpolation is missing; name one of nearest, box"),
        ({"resize": {"shorter_side": 256, "interpolation": "area"}}, "interpolation must be one of .* not 'area'"),
        ({"resize": {"shorter_side": 0, "interpolation": "box"}}, "shorter_side must be an integer from 1 to 65536"),
        ({"resize": {"shorter_side": 2, "height": 3, "interpolation": "box"}}, "unknown entry 'height'"),
        ({"resize": {"height": 3, "interpolation": "box"}}, "width is missing; it needs shorter_side, or height and"),
        ({"crop": {"width": 3}}, "crop: height is missing; it needs height and width"),
        ({"crop": {"width": 3, "height": 70000}}, "crop: height must be an integer from 1 to 65536, not 70000"),
        ({"crop": {"width": True, "height": 3}}, "crop: width must be an integer from 1 to 65536, not True"),
        ({"mean": [0.5, 0.5]}, "mean must be a number, or a list of 3, one a channel"),
        ({"mean": "0.5"}, "mean must be a number that float32 can hold, not '0.5'"),
        ({"mean": float("nan")}, "mean must be a number that float32 can hold, not nan"),
        ({"mean": 1e39}, "mean must be a number that float32 can hold, not 1e\\+39"),
        ({"mean": 10**400}, "mean must be a number that float32 can hold, not about 2"),
        ({"std": [1, 0, 1]}, "std must be a positive number that float32 can hold, not 0"),
        ({"std": 1e-50}, "std must be a positive number that float32 can hold, not 1e-50"),
        ({"scale": -255}, "scale must be a positive number that float32 can hold, not -255"),
        ({"scale": True}, "scale must be a positive number that float32 can hold, not True"),
    ],
)
def test_wrong_entries_are_named(change: dict[str, Any], message: str) -> None:
    data = {key: value for key, value in {"preprocess_version": 1, **change}.items() if value is not None}
    with pytest.raises(UnusableInput, match=f"^here: .*{message}") as error:
        Preprocess.from_dict(data, "here")
    assert len(str(error.value)) < 250


def test_neither_file_nor_metadata() -> None:
    with pytest.raises(
        UnusableInput, match=r"photos: a folder.* no --preprocess P.toml, .*no 'intsim.preprocess'; give"
    ):
        find_preprocess(None, {"intsim.target": "diffquant"}, "photos")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "1" * 5000, "[1]", '"x"', "null"])
def test_metadata_that_is_no_table(text: str) -> None:
    with pytest.raises(UnusableInput, match=r"the model's metadata intsim\.preprocess"):
        find_preprocess(None, {METADATA: text}, "photos")


@pytest.mark.parametrize("content", [b"crop = ", b"\xff", b"scale = " + b"1" * 5000])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.toml").write_bytes(content)
    with pytest.raises(UnusableInput, match=r"preprocess file .*p\.toml: not TOML"):
        find_preprocess(tmp_path / "p.toml", {}, "photos")
    with pytest.raises(UnusableInput, match=r"preprocess file .*q\.toml: No such file"):
        find_preprocess(tmp_path / "q.toml", {}, "photos")


def test_the_examples_of_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "images.md").read_text()
    first, caffe, signed = (
        Preprocess.from_dict(tomllib.loads(block.partition("```")[0])) for block in text.split("```toml\n")[1:]
    )
    assert first == EXPECTED
    assert (caffe.channels, caffe.scale, caffe.mean) == ("BGR", (1, 1, 1), (103.939, 116.779, 123.68))
    assert (signed.scale, signed.mean, signed.std) == ((127.5,) * 3, (1,) * 3, (1,) * 3)
    assert all(name in text for name in (*INTERPOLATIONS, *SUFFIXES, f"{MOST_PIXELS:,}", TEMPORARY))
