from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim import __version__
from intsim.errors import IntsimError, OutOfDomain, UnusableInput
from intsim.formats import Format
from intsim.levels import Levels
from intsim.target import TARGETS, Target
from intsim.vectors import Manifest, Recorded, read_manifest, write_case, write_manifest
from intsim.vectors.manifest import file_names

CODES = np.arange(-6, 6, dtype=np.int64).reshape(1, 3, 2, 2)
FORMAT = Format(4, scale=(0.5, 0.25, 0.125), zero_point=(0, 1, -1), axis=1)
LEVELS = Levels("post", 4, "shared")
TARGET = Target("mine", accumulator_bits=20, overrides=(("conv*", "overflow", "saturate"),))


def write(folder: Path, **changes: Any) -> Manifest:
    tensors = {
        "/conv/out:0": Recorded(CODES, FORMAT, "output"),
        "x": Recorded(np.array([[0.5, 0.1]]), None, "input"),
    }
    arguments: dict[str, Any] = {"model": "net", "digest": "ab" * 32, "target": TARGET, "images": 1}
    return write_manifest(folder, changes.pop("tensors", tensors), **{**arguments, **changes})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path / "out", taps={"x": {"extremes": [0, 1]}})
    manifest = read_manifest(tmp_path / "out")
    assert manifest == written == read_manifest(tmp_path / "out" / "index.json")
    assert (manifest.model, manifest.digest, manifest.target, manifest.images) == ("net", "ab" * 32, TARGET, 1)
    assert manifest.tool_version == __version__
    assert manifest.taps == {"x": {"extremes": [0, 1]}}
    codes = manifest.read("/conv/out:0")
    assert np.array_equal(codes, CODES) and codes.dtype == np.int8
    assert manifest.tensors["/conv/out:0"].format == FORMAT
    assert manifest.tensors["/conv/out:0"].role == "output"
    reals = manifest.read("x")
    assert np.array_equal(reals, np.array([[0.5, 0.1]], np.float32)) and reals.dtype == np.float32


def test_the_schema(tmp_path: Path) -> None:
    write(tmp_path, name="manifest.json")
    data = json.loads((tmp_path / "manifest.json").read_text())
    assert set(data) == {"manifest_version", "tool", "model", "target", "images", "tensors", "taps"}
    assert data["manifest_version"] == 2
    overrides = [{"node": "conv*", "overflow": "saturate"}]
    assert data["target"] == {"target_version": 1, "name": "mine", "accumulator_bits": 20, "overrides": overrides}
    entry = data["tensors"]["/conv/out:0"]
    assert entry["file"] == "_conv_out_0.npy"
    assert entry["format"] == FORMAT.to_dict()
    assert (entry["shape"], entry["dtype"], entry["layout"]) == ([1, 3, 2, 2], "int8", "NCHW-as-ONNX")
    assert np.array_equal(np.load(tmp_path / entry["file"]), CODES)


def test_a_case_of_one_op_has_its_parameters(tmp_path: Path) -> None:
    parameters = {"strides": [2, 1], "overflow": "wrap", "scale": 0.5}
    tensors = {"w": Recorded(CODES, FORMAT, "parameter")}
    written = write_case(tmp_path, tensors, op="conv", parameters=parameters)
    manifest = read_manifest(tmp_path)
    assert manifest == written
    assert (manifest.op, manifest.parameters, manifest.target) == ("conv", parameters, None)
    assert manifest.tensors["w"].role == "parameter"
    data = json.loads((tmp_path / "manifest.json").read_text())
    assert data.keys() == {"manifest_version", "op", "tensors"}
    assert data["op"] == {"name": "conv", "parameters": parameters}
    data["op"] = "conv"
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(UnusableInput, match="damaged manifest: op must be a table of entries, not 'conv'"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("op", ["", "conv"])
def test_version_1_is_read_with_its_target(tmp_path: Path, op: str) -> None:
    write(tmp_path)
    path = tmp_path / "index.json"
    old = {**json.loads(path.read_text()), "manifest_version": 1, "target": TARGETS["tflite"].to_dict()}
    path.write_text(json.dumps({**old, "op": {"name": op, "parameters": {}}} if op else old))
    manifest = read_manifest(tmp_path)
    assert (manifest.target, manifest.op, manifest.model) == (TARGETS["tflite"], op, "net")
    assert np.array_equal(manifest.read("/conv/out:0"), CODES)
    del old["target"]
    path.write_text(json.dumps({**old, "op": {"name": op, "parameters": {}}} if op else old))
    with pytest.raises(UnusableInput, match="target is missing"):
        read_manifest(tmp_path)


def test_file_names_are_plain_and_unique() -> None:
    tensors = [
        "a/b",
        "a_b",
        "A_B",
        "a:b",
        "../../etc/passwd",
        "",
        ".hidden",
        "ü" * 300,
        "x" * 300,
        "x" * 301,
        "index.json",
    ]
    names = file_names(tensors)
    assert list(names) == tensors
    assert len({name.lower() for name in names.values()}) == len(tensors)
    for name in names.values():
        assert "/" not in name and not name.startswith(".") and name.endswith(".npy") and name.isascii()
        assert len(name) < 120


def test_our_own_folder_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "out")
    write(tmp_path / "out", tensors={"y": Recorded(CODES, FORMAT)})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["index.json", "y.npy"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("with_index", [False, True])
def test_a_folder_with_anything_else_is_kept(tmp_path: Path, with_index: bool) -> None:
    if with_index:
        write(tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with pytest.raises(UnusableInput, match="not all of it was written by intsim"):
        write(tmp_path / "out", tensors={"y": Recorded(CODES, FORMAT)})
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_only_files_as_they_were_recorded_are_replaced(tmp_path: Path) -> None:
    """Each of these folders holds something that its manifest does not record with its hash."""

    def edit(out: Path) -> None:
        np.save(out / "x.npy", np.zeros((1, 2), np.float32))

    def link(out: Path) -> None:
        (out / "x.npy").rename(tmp_path / "elsewhere.npy")
        (out / "x.npy").symlink_to(tmp_path / "elsewhere.npy")

    def below(out: Path) -> None:
        (out / "sub").mkdir()
        (out / "x.npy").rename(out / "sub" / "x.npy")
        changed(out, file="sub/x.npy")

    def folder(out: Path) -> None:
        (out / "x.npy").unlink()
        (out / "x.npy").mkdir()

    def second(out: Path) -> None:
        (out / "manifest.json").write_text("{}")

    def pipe(out: Path) -> None:
        (out / "x.npy").unlink()
        os.mkfifo(out / "x.npy")

    def others(out: Path) -> None:
        changed(out, file="../precious.npy")

    def unreadable(out: Path) -> None:
        (out / "index.json").write_text("{")

    (tmp_path / "precious.npy").write_text("the user's")
    for change in (edit, link, below, folder, second, pipe, others, unreadable):
        out = tmp_path / change.__name__
        write(out)
        change(out)
        before = sorted(out.rglob("*"))
        with pytest.raises(UnusableInput, match="not all of it was written by intsim") as caught:
            write(out, tensors={"y": Recorded(CODES, FORMAT)})
        assert "\n" not in str(caught.value)
        assert sorted(out.rglob("*")) == before, change.__name__
    assert (tmp_path / "precious.npy").read_text() == "the user's" and (tmp_path / "elsewhere.npy").exists()


def test_what_is_missing_from_our_folder_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path / "out")
    (tmp_path / "out" / "x.npy").unlink()
    write(tmp_path / "out", tensors={"y": Recorded(CODES, FORMAT)})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["index.json", "y.npy"]


def changed(folder: Path, **changes: Any) -> None:
    path = folder / "index.json"
    data = json.loads(path.read_text())
    entry = data["tensors"]["x"]
    for key, value in changes.items():
        place = entry if key in entry else data
        if value is None:
            del place[key]
        else:
            place[key] = value
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("file", ["../x.npy", "/etc/passwd", "a/../../x.npy", "..", "", "..\\x.npy"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, file: str) -> None:
    write(tmp_path / "out")
    np.save(tmp_path / "x.npy", np.zeros(1))
    changed(tmp_path / "out", file=file)
    with pytest.raises(UnusableInput, match=r"tensor 'x': file .* lies outside the folder"):
        read_manifest(tmp_path / "out")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "out")
    (tmp_path / "out" / "x.npy").rename(tmp_path / "elsewhere.npy")
    (tmp_path / "out" / "x.npy").symlink_to("../elsewhere.npy")
    with pytest.raises(UnusableInput, match="leads outside the folder"):
        read_manifest(tmp_path / "out").read("x")


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    np.save(tmp_path / "x.npy", np.array([[0.5, 0.2]], np.float32))
    with pytest.raises(UnusableInput, match="sha256 is not the recorded one"):
        read_manifest(tmp_path).read("x")
    (tmp_path / "x.npy").unlink()
    with pytest.raises(UnusableInput, match=r"cannot read .*x\.npy"):
        read_manifest(tmp_path).read("x")


@pytest.mark.parametrize(("key", "value"), [("shape", [2, 1]), ("shape", [2]), ("dtype", "float64")])
def test_a_wrong_shape_or_dtype_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    write(tmp_path)
    changed(tmp_path, **{key: value})
    with pytest.raises(UnusableInput, match="the manifest says"):
        read_manifest(tmp_path).read("x")


def test_codes_outside_their_format_are_refused(tmp_path: Path) -> None:
    write(tmp_path, tensors={"x": Recorded(np.array([8]), Format(4))})
    with pytest.raises(OutOfDomain, match="code 8"):
        read_manifest(tmp_path).read("x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest_version": 3}, "manifest_version is 3, this intsim reads 1 and 2"),
        ({"target": None}, "target is missing"),
        ({"manifest_version": None}, "no manifest_version"),
        ({"sha256": None}, "tensors: x: sha256 is missing"),
        ({"tensors": []}, "tensors must be a table of entries"),
        ({"file": 3}, "file must be a string, not 3"),
        ({"shape": "ab"}, "shape must be a list, not 'ab'"),
        ({"format": {"bits": 99, "signed": True}}, "bits must be 1 to 64"),
        ({"format": {"bits": "many"}}, "damaged manifest"),
        ({"target": {"target_version": 1, "speed": 3}}, "unknown key 'speed'"),
        ({"model": "net"}, "damaged manifest"),
    ],
)
def test_a_damaged_manifest_is_one_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path)
    changed(tmp_path, **changes)
    with pytest.raises(UnusableInput, match=message) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    for text, message in (
        ("{", "not JSON"),
        ("[]", "no manifest"),
        ("[" * 100_000, "not JSON"),
        ('"\xff"', "no manifest"),
    ):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(UnusableInput, match=message):
            read_manifest(tmp_path)
    (tmp_path / "index.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UnusableInput, match="not JSON"):
        read_manifest(tmp_path)
    (tmp_path / "index.json").unlink()
    with pytest.raises(UnusableInput, match=r"has no index\.json or manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(UnusableInput, match="cannot read"):
        read_manifest(tmp_path / "gone")


def test_an_unknown_tensor(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(UnusableInput, match=r"records no tensor 'y'; it has /conv/out:0, x"):
        read_manifest(tmp_path).read("y")


def test_named_targets_come_back(tmp_path: Path) -> None:
    for target in TARGETS.values():
        write(tmp_path / target.name, target=target)
        assert read_manifest(tmp_path / target.name).target == target


def test_a_full_disk_leaves_nothing_and_keeps_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UnusableInput, match=r"cannot write .*out: No space left on device"):
        write(tmp_path / "out", tensors={"y": Recorded(CODES, FORMAT)})
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def nested(depth: int, table: bool) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = {"a": value} if table else [value]
    return value


STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**31, 2**63, 10**400, 1e308, "", "x" * 5000, "\x1b[31m\n", "\0", "日本", "../x", "nan"),
    *([], {}, [[]], [1, "a"], [None], [2**63], [1e308], [True], nested(900, False), nested(900, True)),
)
"""Values of other kinds, sizes and depths than any field expects."""


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each (table or list, key) in a JSON value."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@pytest.mark.parametrize("kind", ["index.json", "manifest.json"])
def test_every_field_with_values_of_other_kinds_and_depths(kind: str, tmp_path: Path) -> None:
    """Of runs and of cases of one op: read or refused in one line; what is read has the types that it says."""
    tensors = {"x": Recorded(CODES, FORMAT), "w": Recorded(np.arange(4), Format(4, False, levels=LEVELS))}
    if kind == "index.json":
        write(tmp_path / "out", tensors=tensors, taps={"x": {"low": 1}})
    else:
        write_case(tmp_path / "out", tensors, op="conv", parameters={"strides": [1]})
    path = tmp_path / "out" / kind
    text = path.read_text()
    count = len(list(places(json.loads(text))))
    assert count > 40
    outcomes = {"read": 0, "refused": 0}
    for at in range(count):
        for value in STRANGE:
            data = json.loads(text)
            where, key = list(places(data))[at]
            where[key] = value
            path.write_text(json.dumps(data))
            try:
                manifest = read_manifest(tmp_path / "out")
                for name in manifest.tensors:
                    manifest.read(name)
            except IntsimError as error:
                outcomes["refused"] += 1
                said = str(error)
                assert said.isprintable() and len(said) < 1000 and said.isprintable()
            else:
                outcomes["read"] += 1
                assert type(manifest.images) is int and isinstance(manifest.model, str)
    assert outcomes["refused"] > 1000 and outcomes["read"] > 100


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1" * 5000, "[" * 100_000, "1e400"])
def test_numbers_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path / "out")
    path = tmp_path / "out" / "index.json"
    path.write_text(path.read_text().replace('"images": 1', f'"images": {text}'))
    with pytest.raises(UnusableInput, match=r"index\.json: (not JSON|damaged manifest: images must be an integer)"):
        read_manifest(tmp_path / "out")
    path.write_text(path.read_text().replace(f'"images": {text}', '"images": 1').replace("0.25", text))
    with pytest.raises(UnusableInput, match=r"index\.json: (not JSON|damaged manifest: format: scale must be numbers)"):
        read_manifest(tmp_path / "out")


def test_a_pipe_is_no_manifest_and_no_tensor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableInput, match="it is not a file but a pipe"):
        read_manifest(tmp_path / "pipe")
    write(tmp_path / "out")
    (tmp_path / "out" / "x.npy").unlink()
    os.mkfifo(tmp_path / "out" / "x.npy")
    with pytest.raises(UnusableInput, match="it is not a file but a pipe"):
        read_manifest(tmp_path / "out").read("x")
