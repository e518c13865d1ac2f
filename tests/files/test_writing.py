from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from intsim.errors import UnusableInput
from intsim.files import new_folder, swap, write_file


def nothing(_: Path) -> Sequence[Path] | None:
    """No folder is ours."""
    return None


def all_files(folder: Path) -> Sequence[Path] | None:
    """All that is in a folder is ours, and its file `index` says so."""
    files = sorted(folder.glob("*"), key=lambda file: file.name == "index")
    return files if folder / "index" in files else None


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
    with new_folder(target, nothing) as fresh:
        (fresh / "index").write_text("1")
        assert not target.exists()
    assert [p.name for p in target.iterdir()] == ["index"]
    with pytest.raises(ZeroDivisionError), new_folder(target, all_files) as fresh:
        (fresh / "b").write_text("1")
        raise ZeroDivisionError
    assert [p.name for p in target.iterdir()] == ["index"]
    assert [p.name for p in target.parent.iterdir()] == ["out"]


def test_only_what_may_be_replaced_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with new_folder(target, nothing) as fresh:
        (fresh / "index").write_text("1")
    with pytest.raises(UnusableInput, match="not empty"), new_folder(target, nothing):
        pass
    with new_folder(target, all_files) as fresh:
        (fresh / "b").write_text("2")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    (tmp_path / "file").touch()
    with pytest.raises(UnusableInput, match="is a file"), new_folder(tmp_path / "file", all_files):
        pass


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with new_folder(tmp_path / "link", nothing) as fresh:
        (fresh / "a").touch()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").exists()


@pytest.mark.parametrize("exchanges", [True, False])
def test_the_old_folder_stays_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "index").write_text("old")
    rename, calls = os.rename, []

    def failing(source: Any, destination: Any) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        rename(source, destination)

    def full(a: Path, b: Path) -> bool:
        if exchanges:
            raise OSError(28, "No space left on device")
        return False

    monkeypatch.setattr(os, "rename", failing)
    monkeypatch.setattr(swap, "exchange", full)
    with pytest.raises(UnusableInput, match="No space left"), new_folder(target, all_files) as fresh:
        (fresh / "b").write_text("new")
    assert [(p.name, p.read_text()) for p in target.iterdir()] == [("index", "old")]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert len(calls) == (0 if exchanges else 3)


@pytest.mark.parametrize("exchanges", [True, False])
def test_what_comes_into_the_folder_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    """A file that appears after the first look, up to the moment of the exchange, is the user's."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "index").write_text("old")
    exchange, rename = swap.exchange, os.rename

    def late(*_: object) -> None:
        if not (tmp_path / "seen").exists():
            (tmp_path / "seen").touch()
            (target / "thesis").write_text("years of work")

    def swapped(a: Path, b: Path) -> bool:
        late()
        return exchanges and exchange(a, b)

    def renamed(a: Path, b: Path) -> None:
        late()
        rename(a, b)

    monkeypatch.setattr(swap, "exchange", swapped)
    monkeypatch.setattr(os, "rename", renamed)
    with (
        pytest.raises(UnusableInput, match="something was written to it meanwhile"),
        new_folder(target, all_files) as fresh,
    ):
        (fresh / "index").write_text("new")
    assert {p.name: p.read_text() for p in target.iterdir()} == {"index": "old", "thesis": "years of work"}
    assert {p.name for p in tmp_path.iterdir()} == {"out", "seen"}


def test_a_folder_that_was_empty_and_is_so_no_more_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UnusableInput, match="meanwhile"), new_folder(tmp_path / "out", all_files) as fresh:
        (fresh / "index").write_text("new")
        (tmp_path / "out" / "thesis").write_text("years of work")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_link_to_a_file_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to("real")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "loop", Path("/dev/null")):
        with pytest.raises(UnusableInput, match="is not a file that can be replaced"):
            write_file(path, b"new")
    for name in ("loop", "pipe"):
        with pytest.raises(UnusableInput, match="is a file, not a folder"), new_folder(tmp_path / name, all_files):
            pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loop", "pipe"]
    with pytest.raises(UnusableInput, match="cannot write"):
        write_file("a\0b", b"")


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "字" * 85])
def test_names_of_any_length_are_written(tmp_path: Path, name: str) -> None:
    write_file(tmp_path / name, b"1")
    with new_folder(tmp_path / "sub" / name, nothing):
        pass
    assert (tmp_path / name).read_bytes() == b"1" and (tmp_path / "sub" / name).is_dir()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableInput, match="cannot write"):
        write_file(tmp_path / "file" / "a", b"")
    with pytest.raises(UnusableInput, match="cannot write"), new_folder(tmp_path / "file" / "out", all_files):
        pass
