"""Opening what a user names: regular files only, since a pipe would hold the program and a device has no end."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from intsim.errors import UnusableInput

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def opened(path: str | Path) -> Iterator[BufferedReader]:
    """The regular file at the path, open for reading; links are followed.

    Errors: UnusableInput where it is missing or of another kind, and for what the system reports while it is read.
    """
    try:
        # Opening a device can already do something, so it is looked at first; then what was opened is looked at.
        _check_regular(_mode(path), path)
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            _check_regular(os.fstat(file.fileno()).st_mode, path)
            yield file
    except OSError as error:
        raise UnusableInput(f"cannot read {path}: {error.strerror or error}") from error


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most that many bytes. Errors: UnusableInput."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most else file.read(most + 1)  # files of /proc say 0 bytes and have more
    if max(size, len(content)) > most:
        raise UnusableInput(f"{path}: has {max(size, len(content))} bytes or more, at most {most} are read; shorten it")
    return content


def sha256(path: str | Path) -> str:
    """The sha256 of a regular file, in hexadecimal. Errors: UnusableInput."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mode(path: str | Path) -> int:
    try:
        return os.stat(path).st_mode
    except ValueError as error:  # a zero byte in the path
        raise UnusableInput(f"cannot read {path}: {error}") from error


def _check_regular(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in KINDS if test(mode)), "something else")
        raise UnusableInput(f"cannot read {path}: it is not a file but {kind}; give a file's path")
