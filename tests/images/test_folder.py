from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from intsim.errors import UnusableInput
from intsim.images import Preprocess, read_folder
from intsim.images.preprocess import Resize

RAW = Preprocess(scale=(1.0, 1.0, 1.0))


def add(path: Path, value: int, size: tuple[int, int] = (4, 3)) -> None:
    """An image of that colour; size: (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Classes out of order, one of them empty, and other files."""
    folder = tmp_path / "photos"
    for name, value in (("dog/b.png", 3), ("dog/a.JPEG", 2), ("cat/z.png", 1), ("10/x.bmp", 0), (".hidden/x.png", 9)):
        add(folder / name, value)
    (folder / "cow").mkdir()
    (folder / "dog" / "notes.txt").write_text("no image")
    (folder / "README").write_text("no image")
    (folder / "cat" / ".DS_Store").write_text("hidden")
    return folder


def test_labels_by_class(photos: Path) -> None:
    images = read_folder(photos, RAW)
    assert images.classes == ("10", "cat", "cow", "dog")
    assert images.labels is not None and images.labels.dtype == np.int64
    assert images.labels.tolist() == [0, 1, 3, 3]
    assert [file.name for file in images.files] == ["x.bmp", "z.png", "a.JPEG", "b.png"]
    assert images.array.shape == (4, 3, 3, 4) and images.array.dtype == np.float32
    assert images.array[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert sorted(file.name for file in images.left_out) == ["README", "notes.txt"]


def test_a_flat_folder_has_no_labels(photos: Path) -> None:
    images = read_folder(photos / "dog", RAW)
    assert (images.labels, images.classes) == (None, ())
    assert images.array[:, 0, 0, 0].tolist() == [2, 3]


def test_the_array_is_mapped_read_only_and_leaves_no_file(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "room").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "room"))
    done: list[tuple[int, int]] = []
    array = read_folder(photos, RAW, progress=lambda *counts: done.append(counts)).array
    assert isinstance(array, np.memmap) and not array.flags.writeable
    assert list((tmp_path / "room").iterdir()) == []
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_memory_stays_small(tmp_path: Path) -> None:
    add(tmp_path / "photos" / "0.png", 7)
    for index in range(1, 40):
        os.link(tmp_path / "photos" / "0.png", tmp_path / "photos" / f"{index}.png")
    before = anonymous()
    preprocess = Preprocess(resize=Resize("nearest", height=512, width=512))
    array = read_folder(tmp_path / "photos", preprocess).array
    assert array.nbytes > 120e6
    assert anonymous() - before < array.nbytes / 4
    assert np.array_equal(array[39, 2, 511], np.full(512, np.float32(7) / np.float32(255)))


def anonymous() -> int:
    """Bytes of memory of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def test_images_of_different_sizes(photos: Path) -> None:
    add(photos / "dog" / "c.png", 4, (5, 3))
    with pytest.raises(UnusableInput, match=r"c\.png: .* shape \[3, 3, 5\], x\.bmp has \[3, 3, 4\]; add a crop"):
        read_folder(photos, RAW)
    assert read_folder(photos, Preprocess(crop=(3, 4))).array.shape == (5, 3, 3, 4)


def test_the_shape_that_the_model_takes(photos: Path) -> None:
    for fits in ([3, 3, 4], [3, "rows", None]):
        assert len(read_folder(photos, RAW, fits).array) == 4
    for other in ([3, 4, 3], [1, 3, 4], [36], [3, 3, 4, 1], []):
        with pytest.raises(UnusableInput, match=r"x\.bmp: preprocessed .* \[3, 3, 4\], the model takes \["):
            read_folder(photos, RAW, other)


def test_folders_that_are_something_else(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(UnusableInput, match=r"empty: holds no images"):
        read_folder(tmp_path / "empty", RAW)
    with pytest.raises(UnusableInput, match=r"cannot read .*nowhere: No such file"):
        read_folder(tmp_path / "nowhere", RAW)
    add(photos / "top.png", 1)
    with pytest.raises(UnusableInput, match=r"photos: holds images \(top\.png\) and folders \(10\)"):
        read_folder(photos, RAW)
    (photos / "top.png").unlink()
    (photos / "cat" / "kittens").mkdir()
    with pytest.raises(UnusableInput, match=r"kittens: a folder in a class's folder"):
        read_folder(photos, RAW)


def test_a_pipe_with_an_images_name_is_left_out(photos: Path) -> None:
    os.mkfifo(photos / "dog" / "pipe.png")
    assert photos / "dog" / "pipe.png" in read_folder(photos, RAW).left_out


def test_the_file_at_fault_is_named(photos: Path) -> None:
    (photos / "dog" / "b.png").write_bytes(b"no image")
    with pytest.raises(UnusableInput, match=r"dog/b\.png: not a readable image"):
        read_folder(photos, RAW)


def test_too_little_room(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(
        UnusableInput, match=r"photos: 4 images take 0\.0 MB in .*: No space left on device; set TMPDIR"
    ):
        read_folder(photos, RAW)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    with pytest.raises(UnusableInput, match=r"in .*nowhere: No such file or directory; set TMPDIR"):
        read_folder(photos, RAW)
