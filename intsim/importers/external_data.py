"""Tensors that a model keeps in files beside it: only regular files below the model's own folder are read."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from onnx import TensorProto

from intsim.errors import MalformedGraph
from intsim.importers.tensors import byte_count


class ExternalData:
    """The files beside one model, each read once and shared by the tensors that lie in it.

    folder: the model's; None when the model came as bytes, which can have no files beside it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[str, memoryview] = {}

    def bytes_of(self, tensor: TensorProto, where: str) -> memoryview:
        """The tensor's bytes. Errors: MalformedGraph on a place outside the folder or beyond the file's end."""
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        if self._folder is None:
            raise MalformedGraph(
                f"{where}: its data is in the file {location!r}, but the model was given as bytes: give its path"
            )
        data = self._file(location, where)
        offset = _number(entries, "offset", 0, where)
        length = _number(entries, "length", len(data) - offset, where)
        expected = byte_count(tensor, where)
        if length != expected:
            raise MalformedGraph(f"{where}: external length is {length} bytes, but its shape needs {expected}")
        if offset + length > len(data):
            raise MalformedGraph(
                f"{where}: bytes {offset} to {offset + length} of {location!r}, which has only {len(data)}"
            )
        return data[offset : offset + length]

    def _file(self, location: str, where: str) -> memoryview:
        if location not in self._files:
            assert self._folder is not None
            self._files[location] = memoryview(_read_below(self._folder, location, where))
        return self._files[location]


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedGraph(f"{where}: external {key} must be a whole number of bytes, not {text!r}")
    return int(text)


def _read_below(folder: Path, location: str, where: str) -> bytes:
    """The content of a regular file below the folder, reached through no link."""
    parts = PurePosixPath(location).parts
    outside = (
        not parts
        or PurePosixPath(location).is_absolute()
        or PureWindowsPath(location).anchor != ""
        or "\\" in location
        or "\0" in location
        or ".." in parts
    )
    if outside:
        raise MalformedGraph(f"{where}: external data at {location!r} must be a relative path below the model's folder")
    path = folder.joinpath(*parts)
    try:
        if Path(os.path.realpath(path)) != Path(os.path.realpath(folder)).joinpath(*parts):
            raise MalformedGraph(f"{where}: external data at {location!r} is reached through a link")
        # O_NOFOLLOW and fstat: what was checked is what is read; O_NONBLOCK: a pipe does not hang us.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise MalformedGraph(f"{where}: external data at {location!r} is not a regular file")
            return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MalformedGraph(f"{where}: external data at {location!r} cannot be read: {reason}") from None
