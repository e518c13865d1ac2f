"""Files: arrays read without trusting them, and writes that never leave half a file or half a folder."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from intsim.errors import UnusableInput

Array = np.ndarray[Any, Any]

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def read_array(path: str | Path) -> Array:
    """The array of a .npy file, read only; its bytes are mapped, not copied, so that large files cost no memory.

    Errors: UnusableInput for a missing, truncated or foreign file, and for anything that would be unpickled.
    """
    path = Path(path)
    with _opened(path) as file:
        shape, _, dtype = _header(file, str(path))
        start = file.tell()
        stored = file.seek(0, os.SEEK_END) - start
    _check_size(stored, shape, dtype, str(path))
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def read_arrays(path: str | Path) -> dict[str, Array]:
    """The arrays of an .npz file by name. Errors: as `read_array`, naming the member."""
    path = Path(path)
    arrays = {}
    with _opened(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_memory(sum(member.file_size for member in archive.infolist()), path)
                for member in archive.infolist():
                    if member.filename.endswith(".npy"):
                        arrays[member.filename.removesuffix(".npy")] = _member(archive, member, path)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise UnusableInput(f"{path}: not a readable .npz file ({error}); write it with numpy.savez") from error
    if not arrays:
        raise UnusableInput(f"{path}: holds no arrays; write it with numpy.savez")
    return arrays


def array_bytes(array: Array) -> bytes:
    """The bytes of a .npy file that holds the array in C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return buffer.getvalue()


def write_file(path: str | Path, content: bytes) -> None:
    """Put the bytes into the file at once: written beside it, then renamed. Errors: UnusableInput."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise UnusableInput(f"{path}: is not a file that can be replaced; give another path")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_array(path: str | Path, array: Array) -> None:
    """Write a .npy file at once. Errors: UnusableInput."""
    write_file(path, array_bytes(array))


@contextmanager
def new_folder(path: str | Path, may_replace: Callable[[Path], bool]) -> Iterator[Path]:
    """A fresh folder to fill, which takes the place of `path` when the block ends; on an error nothing changes.

    `path` may be missing, an empty folder, or a folder for which `may_replace` is true (then it is removed).
    Errors: UnusableInput where it is anything else, or where the system refuses to write.
    """
    path = Path(path)
    with _writing(path):
        path = path.resolve()
        if path.exists() and not path.is_dir():
            raise UnusableInput(f"{path}: is a file, not a folder; give another folder")
        if path.is_dir() and any(path.iterdir()) and not may_replace(path):
            raise UnusableInput(
                f"{path}: not empty, and not all of it was written by intsim; give another folder, or empty this one"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}."))
        try:
            yield fresh
            os.chmod(fresh, 0o777 & ~_umask())
            _take_place(fresh, path)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


def _take_place(fresh: Path, path: Path) -> None:
    """Rename `fresh` to `path`; what was there is put aside first, so that it can be put back."""
    if not path.exists():
        os.rename(fresh, path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}."))
    os.rename(path, aside / "old")
    try:
        os.rename(fresh, path)
    except BaseException:
        os.rename(aside / "old", path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnusableInput(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UnusableInput(f"cannot read {path}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Array:
    where = f"{path}, member {member.filename!r}"
    with archive.open(member) as file:
        shape, fortran, dtype = _header(file, where)
        _check_size(member.file_size - file.tell(), shape, dtype, where)
        content = file.read()
    # A member may unpack to fewer bytes than its entry promises.
    _check_size(len(content), shape, dtype, where)
    return np.frombuffer(content, dtype, count=_count(shape)).reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], where: str) -> Header:
    """Shape, order and dtype of the .npy file that starts here. Errors: UnusableInput."""
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    except (ValueError, EOFError) as error:
        first = str(error).splitlines()[0] if str(error) else "no header"
        raise UnusableInput(f"{where}: not a .npy file ({first}); write it with numpy.save") from error
    if dtype.hasobject:
        raise UnusableInput(
            f"{where}: holds Python objects (a pickle), which are never loaded; save an array of numbers"
        )
    if dtype.kind not in "fiub":
        raise UnusableInput(f"{where}: dtype {dtype} is not a number type; save floats (reals) or integers (codes)")
    return shape, fortran, dtype


def _check_size(stored: int, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """Refuse a file whose length is not what its header promises, before any memory is taken for it."""
    expected = _count(shape) * dtype.itemsize
    if stored != expected:
        what = "truncated" if stored < expected else "longer than its header says"
        raise UnusableInput(
            f"{where}: {what}: {dtype} {list(shape)} needs {expected} bytes, the file has {stored}; write it again"
        )


def _check_memory(needed: int, path: Path) -> None:
    """Refuse what unpacks to more than the machine has: a small file can promise that."""
    have = physical_memory()
    if needed > have:
        raise UnusableInput(f"{path}: unpacks to {needed / 1e9:.1f} GB, this machine has {have / 1e9:.1f} GB; split it")


def physical_memory() -> int:
    """The machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count
