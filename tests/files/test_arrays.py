from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intsim.errors import UnusableInput
from intsim.files import array_bytes, arrays, read_array, read_arrays, write_array

Array = np.ndarray[Any, Any]


def unpacked(path: Path) -> dict[str, Array]:
    return dict(read_arrays(path))


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
        unpacked(tmp_path / "x.npz")


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
    for path, read in ((tmp_path / "x.npy", read_array), (tmp_path / "x.npz", unpacked)):
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
            unpacked(tmp_path / "d.npz")
        except UnusableInput:
            errors += 1
    assert errors > 10
    (tmp_path / "t.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableInput, match="not a readable"):
        read_arrays(tmp_path / "t.npz")


def test_an_archive_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros(3_000_000, np.int8))
    monkeypatch.setattr(arrays, "physical_memory", lambda: 2_000_000)
    with pytest.raises(UnusableInput, match=r"unpacks to 0\.0 GB"):
        unpacked(tmp_path / "x.npz")


def test_only_what_is_used_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "x.npz", big=np.zeros(3_000_000, np.int8), x=np.arange(4))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[60] ^= 0xFF  # in the packed bytes of `big`
    (tmp_path / "x.npz").write_bytes(content)
    monkeypatch.setattr(arrays, "physical_memory", lambda: 2_000_000)
    members = read_arrays(tmp_path / "x.npz")
    assert list(members) == ["big", "x"] and "big" in members and "y" not in members
    assert np.array_equal(members["x"], np.arange(4)) and members.get("y") is None
    assert members["x"] is members["x"]
    with pytest.raises(UnusableInput, match="unpacks to"):
        members["big"]


def archive(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return bytearray(path.read_bytes())


ONE = array_bytes(np.arange(1000, dtype=np.int16))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    archive(tmp_path / "x.npz", ("x.npy", ONE), ("x.npy", ONE))
    with pytest.raises(UnusableInput, match=r"two members are called 'x'; write it"):
        read_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "", "x\ny", "x\x1b[2J", "x" * 1001])
def test_strange_names_of_members_are_refused(tmp_path: Path, name: str) -> None:
    archive(tmp_path / "x.npz", (name + ".npy", ONE))
    with pytest.raises(UnusableInput, match="has no plain name") as caught:
        read_arrays(tmp_path / "x.npz")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(tmp_path: Path, method: int) -> None:
    archive(tmp_path / "x.npz", ("x.npy", ONE), method=method)
    with pytest.raises(UnusableInput, match=f"member 'x.npy': is packed by method {method}, not stored or deflated"):
        unpacked(tmp_path / "x.npz")


def directory_changed(content: bytearray, offset: int, form: str, value: int) -> bytearray:
    """A file of one member; the field at that offset of its entry in the directory is changed."""
    struct.pack_into(form, content, content.rindex(b"PK\1\2") + offset, value)
    return content


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = archive(tmp_path / "x.npz", ("x.npy", ONE))
    (tmp_path / "x.npz").write_bytes(directory_changed(content, 8, "<H", 1))
    with pytest.raises(UnusableInput, match=r"member 'x.npy': is encrypted"):
        unpacked(tmp_path / "x.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_bomb_takes_no_memory(tmp_path: Path, method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    length = 3_000_000_000
    header = array_bytes(np.zeros(1000, np.int8))[:128].replace(b"(1000,)", b"(%d,)" % length)
    header = header.rstrip(b" \n")[:127].ljust(127) + b"\n"
    content = archive(tmp_path / "x.npz", ("x.npy", header + bytes(100)), method=method)
    (tmp_path / "x.npz").write_bytes(directory_changed(content, 24, "<I", 128 + length))
    monkeypatch.setattr(arrays, "physical_memory", lambda: 1 << 60)
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory is taken"))
    with pytest.raises(UnusableInput, match=f"bytes cannot unpack to {128 + length}"):
        unpacked(tmp_path / "x.npz")


def test_a_member_that_unpacks_to_less_is_one_error(tmp_path: Path) -> None:
    header = array_bytes(np.zeros(1000, np.int8))[:128]
    content = archive(tmp_path / "x.npz", ("x.npy", header + bytes(900)), method=zipfile.ZIP_DEFLATED)
    (tmp_path / "x.npz").write_bytes(directory_changed(content, 24, "<I", 1128))
    with pytest.raises(UnusableInput, match=r"x\.npz.*(truncated|not a readable)"):
        unpacked(tmp_path / "x.npz")


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_bytes_are_noticed(tmp_path: Path, packed: bool) -> None:
    """Every byte of the data is under the member's checksum: no damage gives another array."""
    array = np.random.default_rng(1).integers(0, 100, 40).astype(np.int8)
    (np.savez_compressed if packed else np.savez)(tmp_path / "x.npz", x=array)
    content = (tmp_path / "x.npz").read_bytes()
    for at in range(len(content)):
        for flip in (0x01, 0xFF):
            (tmp_path / "d.npz").write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
            try:
                found = unpacked(tmp_path / "d.npz").get("x")
            except UnusableInput as error:
                assert len(str(error)) < 1000 and str(error).isprintable()
            else:
                assert found is None or np.array_equal(found, array)


def test_pipes_devices_sockets_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for path, kind in ((tmp_path / "pipe.npy", "a pipe"), (Path("/dev/zero"), "a device"), (tmp_path, "a folder")):
        for read in (read_array, read_arrays):
            with pytest.raises(UnusableInput, match=f"cannot read .*: it is not a file but {kind}"):
                read(path)
    with pytest.raises(UnusableInput, match="cannot read"):
        read_array("a\0b.npy")
