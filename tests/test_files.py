from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim import files
from intsim.errors import UnusableInput
from intsim.files import array_bytes, new_folder, read_array, read_arrays, write_array, write_file

Array = np.ndarray[Any, Any]


def saved(path: Path, array: Array) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.int8).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(3, dtype=">u2"),
        np.float64(3.5) * np.ones(()),
        np.empty((0, 4), np.uint8),
    ],
)
def test_arrays_come_back(tmp_path: Path, array: Array) -> None:
    path = saved(tmp_path / "x.npy", array)
    assert np.array_equal(read_array(path), array)
    assert read_array(path).dtype == array.dtype
    np.savez(tmp_path / "x.npz", x=array, y=np.arange(2))
    np.savez_compressed(tmp_path / "c.npz", x=array)
    members = read_arrays(tmp_path / "x.npz")
    assert set(members) == {"x", "y"}
    assert np.array_equal(members["x"], array) and members["x"].shape == array.shape
    assert np.array_equal(read_arrays(tmp_path / "c.npz")["x"], array)
    write_array(tmp_path / "w.npy", array)
    assert np.array_equal(np.load(tmp_path / "w.npy"), array)


@pytest.mark.parametrize("cut", [1, 8, 40, 128, 129, 200])
def test_a_truncated_array_is_one_error(tmp_path: Path, cut: int) -> None:
    content = array_bytes(np.arange(100, dtype=np.int64))
    (tmp_path / "x.npy").write_bytes(content[:-cut] if cut < 200 else content[:6])
    with pytest.raises(UnusableInput, match=r"x\.npy: (truncated|not a \.npy file)"):
        read_array(tmp_path / "x.npy")


def test_bytes_behind_the_array_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(array_bytes(np.arange(3)) + b"0")
    with pytest.raises(UnusableInput, match="longer than its header says"):
        read_array(tmp_path / "x.npy")


def test_a_header_that_promises_too_much_takes_no_memory(tmp_path: Path) -> None:
    content = array_bytes(np.zeros(1_000_000, np.int8))
    header = content[:128].replace(b"(1000000,)", b"(9" + b"9" * 12 + b",)", 1)[:128]
    (tmp_path / "x.npy").write_bytes(header + b"1234")
    with pytest.raises(UnusableInput, match=r"truncated: int8 \[9999999999999\] needs 9999999999999 bytes"):
        read_array(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", header + b"1234")
    with pytest.raises(UnusableInput, match=r"member 'x.npy': truncated"):
        read_arrays(tmp_path / "x.npz")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    bomb = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    saved(tmp_path / "x.npy", bomb)
    np.savez(tmp_path / "x.npz", x=bomb)
    for path, read in ((tmp_path / "x.npy", read_array), (tmp_path / "x.npz", read_arrays)):
        with pytest.raises(UnusableInput, match="holds Python objects"):
            read(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.zeros(2, "i4,f4"), np.zeros(1, "M8[s]")])
def test_what_is_no_number_is_refused(tmp_path: Path, array: Array) -> None:
    with pytest.raises(UnusableInput, match="is not a number type"):
        read_array(saved(tmp_path / "x.npy", array))


def test_foreign_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("1 2 3")
    (tmp_path / "x.npz").write_text("1 2 3")
    (tmp_path / "empty.npy").touch()
    with zipfile.ZipFile(tmp_path / "none.npz", "w"):
        pass
    for name, message in (
        ("x.npy", "not a .npy file"),
        ("empty.npy", "not a .npy file"),
        ("gone.npy", "No such file"),
    ):
        with pytest.raises(UnusableInput, match=message):
            read_array(tmp_path / name)
    for name, message in (("x.npz", "not a readable .npz"), ("none.npz", "no arrays"), ("gone.npz", "No such file")):
        with pytest.raises(UnusableInput, match=message):
            read_arrays(tmp_path / name)
    with pytest.raises(UnusableInput, match="cannot read"):
        read_array(tmp_path)


def test_a_damaged_npz_is_one_error(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 100, 5000))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    errors = 0
    for at in range(40, len(content) - 100, 97):
        damaged = content.copy()
        damaged[at] ^= 0xFF
        (tmp_path / "d.npz").write_bytes(damaged)
        try:
            read_arrays(tmp_path / "d.npz")
        except UnusableInput:
            errors += 1
    assert errors > 10
    (tmp_path / "t.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableInput, match="not a readable"):
        read_arrays(tmp_path / "t.npz")


def test_an_archive_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(3_000_000, np.int8))
    monkeypatch.setattr(files, "physical_memory", lambda: 2_000_000)
    with pytest.raises(UnusableInput, match=r"unpacks to 0\.0 GB"):
        read_arrays(tmp_path / "x.npz")


def test_files_have_the_usual_mode_and_nothing_is_left(tmp_path: Path) -> None:
    write_file(tmp_path / "sub" / "a", b"1")
    write_file(tmp_path / "sub" / "a", b"2")
    assert (tmp_path / "sub" / "a").read_bytes() == b"2"
    (tmp_path / "sub" / "b").touch()
    assert stat.S_IMODE((tmp_path / "sub" / "a").stat().st_mode) == stat.S_IMODE(
        (tmp_path / "sub" / "b").stat().st_mode
    )
    assert sorted(p.name for p in (tmp_path / "sub").iterdir()) == ["a", "b"]


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_error_and_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fdopen", lambda *_: io.FileIO(FULL, "wb"))
    with pytest.raises(UnusableInput, match=r"cannot write .*a: No space left on device"):
        write_file(tmp_path / "a", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with new_folder(target, lambda _: False) as fresh:
        (fresh / "a").write_text("1")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["a"]
    with pytest.raises(ZeroDivisionError), new_folder(target, lambda _: True) as fresh:
        (fresh / "b").write_text("1")
        raise ZeroDivisionError
    assert [p.name for p in target.iterdir()] == ["a"]
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_only_what_may_be_replaced_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with new_folder(target, lambda _: False) as fresh:
        (fresh / "a").write_text("1")
    with pytest.raises(UnusableInput, match="not empty"), new_folder(target, lambda _: False):
        pass
    with new_folder(target, lambda folder: folder == target) as fresh:
        (fresh / "b").write_text("2")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    (tmp_path / "file").touch()
    with pytest.raises(UnusableInput, match="is a file"), new_folder(tmp_path / "file", lambda _: True):
        pass


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with new_folder(tmp_path / "link", lambda _: False) as fresh:
        (fresh / "a").touch()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").exists()


def test_the_old_folder_is_put_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "a").write_text("old")
    rename = os.rename
    calls = []

    def failing(source: Any, destination: Any) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(UnusableInput, match="No space left"), new_folder(target, lambda _: True) as fresh:
        (fresh / "b").write_text("new")
    assert [(p.name, p.read_text()) for p in target.iterdir()] == [("a", "old")]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableInput, match="cannot write"):
        write_file(tmp_path / "file" / "a", b"")
    with pytest.raises(UnusableInput, match="cannot write"), new_folder(tmp_path / "file" / "out", lambda _: True):
        pass
