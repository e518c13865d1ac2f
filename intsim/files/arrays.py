"""Arrays from .npy and .npz files, and as the bytes of one."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from intsim.errors import IntsimError, UnusableInput, shown
from intsim.files.npy import Header, read_header
from intsim.files.opening import opened

Array = np.ndarray[Any, Any]

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How numpy.savez and numpy.savez_compressed pack members."""

MOST_DEFLATED = 1032
"""Bytes that one byte can unpack to; what promises more is damaged or a trap."""

LONGEST_NAME = 1_000
SECRET = 1
"""The flag of an encrypted member."""


def read_array(path: str | Path) -> Array:
    """The array of a .npy file, read only; its bytes are mapped, not copied, so that large files cost no memory.

    Errors: UnusableInput for a missing, truncated or foreign file, for a pipe or a device, and for anything that would
    be unpickled.
    """
    with opened(path) as file:
        header = read_header(file, str(path))
        start = file.tell()
        header.check_size(os.fstat(file.fileno()).st_size - start, str(path))
        if header.count == 0:
            return np.empty(header.shape, header.dtype)
        return np.memmap(file, header.dtype, "r", start, header.shape, "F" if header.fortran else "C")


def read_arrays(path: str | Path) -> Mapping[str, Array]:
    """The arrays of an .npz file by name; each is unpacked when it is first asked for, the others never are.

    Errors: UnusableInput for what is no such file, and, when an array is asked for, as `read_array`, naming the member.
    """
    return _Members(Path(path))


def array_bytes(array: Array) -> bytes:
    """The bytes of a .npy file that holds the array in C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return buffer.getvalue()


def physical_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class _Members(Mapping[str, Array]):
    """The arrays of one .npz file; the file is open only while its directory or a member is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unpacked: dict[str, Array] = {}
        with self._archive() as archive:
            self._names = tuple(self._members(archive))

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._unpacked:
            self._unpacked[name] = self._unpack(name)
        return self._unpacked[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # Mapping's own unpacks the member to find out

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        with opened(self._path) as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    yield archive
            except (IntsimError, MemoryError):
                raise
            except Exception as error:  # zipfile and the unpackers below it raise anything on hostile files
                reason = str(error).partition("\n")[0] or type(error).__name__
                raise UnusableInput(
                    f"{self._path}: not a readable .npz file ({reason}); write it with numpy.savez"
                ) from error

    def _members(self, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
        """Array name -> entry of the directory, of the entries that end in .npy."""
        members: dict[str, zipfile.ZipInfo] = {}
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name == entry.filename:
                continue
            if name in members:
                raise UnusableInput(f"{self._path}: two members are called {shown(name)}; write it with numpy.savez")
            if not _is_plain(name):
                raise UnusableInput(
                    f"{self._path}: member {shown(entry.filename)} has no plain name; write it with numpy.savez"
                )
            members[name] = entry
        if not members:
            raise UnusableInput(f"{self._path}: holds no arrays; write it with numpy.savez")
        return members

    def _unpack(self, name: str) -> Array:
        where = f"{self._path}, member {name + '.npy'!r}"
        with self._archive() as archive:
            entry = self._members(archive).get(name)
            if entry is None:
                raise UnusableInput(f"{where}: it is gone, the file was written again; start again")
            if entry.flag_bits & SECRET:
                raise UnusableInput(f"{where}: is encrypted; write it with numpy.savez")
            if entry.compress_type not in METHODS:
                raise UnusableInput(
                    f"{where}: is packed by method {entry.compress_type}, not stored or deflated; write it with "
                    f"numpy.savez"
                )
            self._check_memory(entry.file_size)
            most = entry.compress_size * (1 if entry.compress_type == zipfile.ZIP_STORED else MOST_DEFLATED)
            with archive.open(entry) as file:
                header = read_header(file, where)
                header.check_size(entry.file_size - file.tell(), where)
                if entry.file_size > most:
                    raise UnusableInput(
                        f"{where}: {entry.compress_size} bytes cannot unpack to {entry.file_size}; write it again"
                    )
                return _content(file, header, where)

    def _check_memory(self, needed: int) -> None:
        """Refuse what unpacks to more than the machine has: a small file can promise that."""
        needed += sum(array.nbytes for array in self._unpacked.values())
        have = physical_memory()
        if needed > have:
            raise UnusableInput(
                f"{self._path}: unpacks to {needed / 1e9:.1f} GB, this machine has {have / 1e9:.1f} GB; split it"
            )


def _content(file: IO[bytes], header: Header, where: str) -> Array:
    """The array, filled piece by piece: memory is used only for what really comes out of the file."""
    array = np.empty(header.count, header.dtype)
    room: Array = array.view(np.uint8)
    filled = 0
    while filled < len(room):
        piece = file.read(min(1 << 20, len(room) - filled))
        if not piece:  # a member may unpack to fewer bytes than its entry promises
            header.check_size(filled, where)
        room[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    header.check_size(filled + len(file.read(1)), where)  # at its end the member's checksum is compared
    return array.reshape(header.shape, order="F" if header.fortran else "C")


def _is_plain(name: str) -> bool:
    """Whether a member's name is one that can be typed and that leads nowhere else when it is unpacked."""
    parts = PurePosixPath(name).parts
    return name.isprintable() and 0 < len(name) <= LONGEST_NAME and ".." not in parts and parts[:1] != ("/",)
