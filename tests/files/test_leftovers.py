from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from intsim.files import write_file
from intsim.files.leftovers import leftovers, new_sibling
from intsim.target import TARGETS
from intsim.vectors import Recorded, write_manifest


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def record(folder: Path, value: int) -> None:
    tensors = {"x": Recorded(np.full(3, value), None)}
    write_manifest(folder, tensors, model="m", digest="", target=TARGETS["diffquant"], images=1)


def test_what_a_dead_writer_left_is_cleared_by_the_next(tmp_path: Path, dead: int) -> None:
    (tmp_path / f".f.intsim-new-{dead}-abcdefg1").write_text("half")
    half = tmp_path / f".d.intsim-new-{dead}-abcdefg2"
    half.mkdir()
    (half / "x.npy").write_text("half")
    (half / "index.json").write_text("{")
    write_file(tmp_path / "f", b"1")
    record(tmp_path / "d", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d", "f"]


@pytest.mark.parametrize(
    "name",
    [
        ".f.intsim-new-{live}-abcdefg1",
        ".f.intsim-new-1-abcdefg1",
        ".f.intsim-new-{dead}-abcdefg1.txt",
        ".f.intsim-new-{dead}-notes",
        ".f.intsim-new-0-abcdefg1",
        ".f.intsim-mine-{dead}-abcdefg1",
        ".g.intsim-new-{dead}-abcdefg1",
        "f.intsim-new-{dead}-abcdefg1",
        ".f.abcdefg1",
    ],
)
def test_nothing_else_is_cleared(tmp_path: Path, name: str, dead: int) -> None:
    kept = tmp_path / name.format(live=os.getpid(), dead=dead)
    kept.write_text("the user's")
    write_file(tmp_path / "f", b"1")
    record(tmp_path / "d" / "f", 1)
    assert kept.read_text() == "the user's"


def test_a_lock_says_that_the_writer_lives_on_another_machine(tmp_path: Path, dead: int) -> None:
    sibling = tmp_path / f".f.intsim-new-{dead}-abcdefg1"
    sibling.write_text("half")
    with sibling.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert leftovers(tmp_path / "f") == []
    assert leftovers(tmp_path / "f") == [("new", sibling)]


def test_a_link_is_no_leftover(tmp_path: Path, dead: int) -> None:
    (tmp_path / "precious").write_text("the user's")
    (tmp_path / f".f.intsim-new-{dead}-abcdefg1").symlink_to("precious")
    assert leftovers(tmp_path / "f") == []


def test_in_an_old_folder_what_is_not_recorded_stays(tmp_path: Path, dead: int) -> None:
    """A writer was killed after the exchange: its sibling is the old folder, into which the user put a file."""
    sibling = tmp_path / f".d.intsim-new-{dead}-abcdefg1"
    record(sibling, 1)
    (sibling / "thesis").write_text("years of work")
    record(tmp_path / "d", 2)
    assert [p.name for p in sibling.iterdir()] == ["thesis"]


def test_an_old_folder_that_was_put_aside_comes_back(tmp_path: Path, dead: int) -> None:
    aside = tmp_path / f".d.intsim-old-{dead}-abcdefg1"
    aside.mkdir()
    record(aside / "old", 1)
    (aside / "old" / "thesis").write_text("years of work")
    with pytest.raises(Exception, match="not all of it was written by intsim"):
        record(tmp_path / "d", 2)
    assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["index.json", "thesis", "x.npy"]
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_our_own_siblings_are_private_and_beside_the_output(tmp_path: Path) -> None:
    for folder in (True, False):
        sibling = new_sibling(tmp_path / "f", folder=folder)
        assert sibling.parent == tmp_path and f".f.intsim-new-{os.getpid()}-" in sibling.name
        assert sibling.stat().st_mode & 0o077 == 0
