"""Writing at once: a file or a folder is made beside its place and moved there whole, and nothing else is touched.

Killed at any moment, the output is at its path, the old one or the new one. A file takes its place by rename, a folder
by rename where nothing or an empty folder is there, else by an exchange of the two (swap). Where the file system knows
no exchange, the old folder is put aside, and whoever uses the path next puts it back if its writer died (`put_back`).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.files import swap
from intsim.files.arrays import array_bytes
from intsim.files.leftovers import NEW, OLD, leftovers, locked, new_sibling

Array = np.ndarray[Any, Any]

OwnFiles = Callable[[Path], Sequence[Path] | None]
"""Folder -> the regular files in it that we wrote, as they were written, in the order in which they may be deleted;
None where it does not say. Deleted up to any of them, the folder must still say what is left."""


State = dict[str, tuple[int, ...]]
"""Names in a folder, in the order in which they may be deleted -> what changes where the file does."""


def write_file(path: str | Path, content: bytes) -> None:
    """Put the bytes into the file at once; a link is followed, a file's permissions are kept. Errors: UnusableInput."""
    with _writing(path):
        given, path = path, _real(path)
        mode = _replaced_mode(path, given)
        path.parent.mkdir(parents=True, exist_ok=True)
        for kind, sibling in leftovers(path):
            if kind == NEW and sibling.is_file():
                sibling.unlink(missing_ok=True)
        fresh = new_sibling(path, folder=False)
        try:
            with locked(fresh):
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CLOEXEC), "wb") as file:
                    file.write(content)
                os.chmod(fresh, mode)
                os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise


def write_array(path: str | Path, array: Array) -> None:
    """Write a .npy file at once. Errors: UnusableInput."""
    write_file(path, array_bytes(array))


@contextmanager
def new_folder(path: str | Path, own_files: OwnFiles) -> Iterator[Path]:
    """A fresh folder to fill with files, which takes the place of `path` when the block ends; on an error nothing does.

    `path` may be missing, an empty folder, or a folder that holds nothing but regular files that `own_files` names.
    Errors: UnusableInput where it is anything else, or where the system refuses to write.
    """
    with _writing(path):
        given, path = path, _real(path)
        put_back(path)
        if os.path.lexists(path) and not path.is_dir():
            raise UnusableInput(f"{given}: is a file, not a folder; give another folder")
        old = _own_state(path, own_files, given) if path.is_dir() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for kind, sibling in leftovers(path):
            _discard(sibling, kind, own_files)
        fresh = new_sibling(path, folder=True)
        with locked(fresh):
            try:
                yield fresh
                os.chmod(fresh, 0o777 & ~_umask())
                _take_place(fresh, path, old)
            except BaseException:
                _discard(fresh, NEW, own_files)
                raise


def put_back(path: Path) -> None:
    """Where a writer died between two renames, for want of an exchange, its old folder returns to the path."""
    if os.path.lexists(path):
        return
    for kind, sibling in leftovers(path):
        if kind == OLD:
            with contextlib.suppress(OSError):  # another process does the same
                os.rename(sibling / OLD, path)
                sibling.rmdir()


def _take_place(fresh: Path, path: Path, old: State) -> None:
    """Move `fresh` to `path`; what was there is deleted after that, if it still is what it was."""
    if not old:
        if path.is_dir() and any(path.iterdir()):
            raise _changed(path)
        os.rename(fresh, path)  # over an empty folder too; it fails where that is no longer empty
    elif swap.exchange(fresh, path):
        if _state(fresh) != old:
            swap.exchange(fresh, path)
            raise _changed(path)
        _remove(fresh, old)
    else:
        _take_place_by_renames(fresh, path, old)


def _take_place_by_renames(fresh: Path, path: Path, old: State) -> None:
    aside = new_sibling(path, folder=True, kind=OLD)
    try:
        with locked(aside):
            os.rename(path, aside / OLD)
            try:
                if _state(aside / OLD) != old:
                    raise _changed(path)
                os.rename(fresh, path)
            except BaseException:
                os.rename(aside / OLD, path)
                raise
            _remove(aside / OLD, old)
    finally:
        with contextlib.suppress(OSError):
            aside.rmdir()


def _own_state(folder: Path, own_files: OwnFiles, given: str | Path) -> State:
    """The State of a folder of our own. Errors: UnusableInput where it holds anything else."""
    state = _state(folder)
    own = [file.name for file in own_files(folder) or ()] if state else []
    foreign = sorted(set(state) - set(own))
    if foreign:
        raise UnusableInput(
            f"{given}: not empty, and not all of it was written by intsim ({foreign[0]!r} was not, or was changed "
            f"since); give another folder, or empty this one"
        )
    return {name: state[name] for name in own if name in state}


def _state(folder: Path) -> State:
    state: State = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            state[entry.name] = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns)
    return state


def _discard(sibling: Path, kind: str, own_files: OwnFiles) -> None:
    """Delete a temporary sibling: an old folder as it was written, or a new one, half made."""
    folder = sibling / OLD if kind == OLD else sibling
    if not folder.is_dir():
        if kind == OLD:
            _remove(sibling, ())
        return
    own = own_files(folder)
    if own is None:
        # A folder that gave way has its manifest until it is empty: without one it is new, and all in it is ours.
        own = _regular_files(folder) if kind == NEW else ()
    _remove(folder, [file.name for file in own])
    if kind == OLD:
        _remove(sibling, ())


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Delete these files, then the folder if nothing is left in it."""
    for name in names:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


def _regular_files(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    return []


def _replaced_mode(path: Path, given: str | Path) -> int:
    """The permissions of the file that is replaced, else the usual ones."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return 0o666 & ~_umask()
    if not stat.S_ISREG(mode):
        raise UnusableInput(f"{given}: is not a file that can be replaced; give another path")
    return stat.S_IMODE(mode)


def _changed(path: Path) -> UnusableInput:
    return UnusableInput(f"{path}: something was written to it meanwhile; it stays as it is; give another folder")


def _real(path: str | Path) -> Path:
    """The path without links. Errors: UnusableInput where no file can have that name."""
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise UnusableInput(f"cannot write {path}: {error}") from error


@contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnusableInput(f"cannot write {path}: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
