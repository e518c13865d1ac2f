"""Tensors that a model keeps in files beside it: only regular files below the model's own folder are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import TensorProto

from intsim.errors import MalformedGraph
from intsim.importers.onnx.tensors import byte_count


class ExternalData:
    """The files beside one model; a region that several tensors share is read once.

    folder: the model's; None when the model came as bytes, which can have no files beside it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._regions: dict[tuple[str, int, int], memoryview] = {}

    def bytes_of(self, tensor: TensorProto, where: str) -> memoryview:
        """The tensor's bytes. Errors: MalformedGraph on a place outside the folder or beyond the file's end."""
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        if self._folder is None:
            raise MalformedGraph(
                f"{where}: its data is in the file {location!r}, but the model was given as bytes: give its path"
            )
        offset, expected = _number(entries, "offset", 0, where), byte_count(tensor, where)
        length = _number(entries, "length", expected, where)
        if length != expected:
            raise MalformedGraph(f"{where}: external length is {length} bytes, but its shape needs {expected}")
        region = (location, offset, length)
        if region not in self._regions:
            self._regions[region] = memoryview(self._read(self._folder, region, where))
        return self._regions[region]

    def _read(self, folder: Path, region: tuple[str, int, int], where: str) -> bytes:
        location, offset, length = region
        taken = sum(n for place, _, n in self._regions if place == location)
        with _opened(folder, location, where) as handle:
            size = os.fstat(handle).st_size
            if offset + length > size:
                raise MalformedGraph(
                    f"{where}: bytes {offset} to {offset + length} of {location!r}, which has only {size}"
                )
            # Else a small file could be read into a large memory, again and again.
            if taken + length > size:
                raise MalformedGraph(f"{where}: overlaps with other tensors in {location!r}")
            with os.fdopen(handle, "rb", closefd=False) as file:
                file.seek(offset)
                return file.read(length)


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedGraph(f"{where}: external {key} must be a whole number of bytes, not {text!r}")
    return int(text)


@contextmanager
def _opened(folder: Path, location: str, where: str) -> Iterator[int]:
    """A handle on a regular file below the folder, reached through no link."""
    parts = PurePosixPath(location).parts
    windows = PureWindowsPath(location)
    if not parts or parts[0] == "/" or ".." in parts or windows.anchor or "\\" in location or "\0" in location:
        raise MalformedGraph(f"{where}: external data at {location!r} must be a relative path below the model's folder")
    path = folder.joinpath(*parts)
    if Path(os.path.realpath(path)) != Path(os.path.realpath(folder)).joinpath(*parts):
        raise MalformedGraph(f"{where}: external data at {location!r} is reached through a link")
    try:
        # O_NOFOLLOW and fstat: what was checked is what is read; O_NONBLOCK: a pipe does not hang us.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise MalformedGraph(f"{where}: external data at {location!r} cannot be read: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise MalformedGraph(f"{where}: external data at {location!r} is not a regular file")
        yield handle
    finally:
        os.close(handle)
