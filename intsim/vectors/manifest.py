"""The manifest: one schema for every folder of tensors that intsim writes or reads; one reader, one writer.

A folder holds one .npy file a tensor and one JSON file (`index.json` of a run, `manifest.json` of golden vectors):
{"manifest_version": 2, "tool": {"name", "version"}, "model": {"name", "sha256"}, "target": Target.changes(), "images",
 "tensors": {ONNX name: {"file", "dtype", "format": Format.to_dict() or null (reals), "shape", "layout", "role",
 "sha256" of the file}}, "taps": {ONNX name: counts}}. Axes are always ONNX's: layout "NCHW-as-ONNX".
A case of one op has {"manifest_version", "op": {"name": stem in intsim.spec, "parameters": its arguments that are no
tensors}, "tensors"}: its parameters say all that a target would.
Version 1 is read as well: its target has the fields that there were, and its cases of one op have one too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from intsim.errors import IntsimError, UnusableInput, shown
from intsim.fields import LARGEST_INTEGER, Fields
from intsim.files import array_bytes, new_folder, put_back, read_array, read_json, sha256
from intsim.formats import Format
from intsim.target import Target

Array = np.ndarray[Any, Any]

VERSION = 2
READ = (1, 2)
"""The versions that are read."""

LAYOUT = "NCHW-as-ONNX"
NAMES = ("index.json", "manifest.json")
"""The names that a manifest can have: of a run's output, of golden vectors."""

ROLES = ("input", "output", "tap", "parameter")
"""What a tensor is to the network: stimulus, result, something seen in between, or an argument of one op."""

LONGEST_NAME = 100
LONGEST_PATH = 1_000
MOST_AXES = 64


@dataclass(frozen=True)
class Recorded:
    """A tensor to be written. format None: float32 reals. role: one of ROLES."""

    array: Array
    format: Format | None
    role: str = "tap"


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one tensor."""

    name: str
    file: str
    dtype: str
    format: Format | None
    shape: tuple[int, ...]
    role: str
    sha256: str
    layout: str = LAYOUT

    def to_dict(self) -> dict[str, Any]:
        """The entry as it stands in the JSON file, under the tensor's name."""
        return {
            "file": self.file,
            "dtype": self.dtype,
            "format": None if self.format is None else self.format.to_dict(),
            "shape": list(self.shape),
            "layout": self.layout,
            "role": self.role,
            "sha256": self.sha256,
        }


@dataclass(frozen=True)
class Manifest:
    """A folder of tensors: `read` gives a tensor's array, checked against what the manifest says of it.

    op: the stem of the one op that the tensors belong to, empty for a network; parameters: its arguments.
    target: None for a case of one op.
    """

    folder: Path
    model: str
    digest: str
    target: Target | None
    images: int
    tensors: Mapping[str, Entry]
    taps: Mapping[str, Any] = field(default_factory=dict)
    tool_version: str = ""
    op: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def read(self, name: str) -> Array:
        """The array of the tensor of that name.

        Errors: UnusableInput where the file is missing, or is not the one that was recorded (sha256, shape, dtype).
        """
        entry = self.tensors.get(name)
        if entry is None:
            raise UnusableInput(f"{self.folder}: records no tensor {shown(name)}; it has {_some(self.tensors)}")
        path = _inside(self.folder, entry.file, name)
        array = read_array(path)
        if sha256(path) != entry.sha256:
            raise UnusableInput(f"{path}: sha256 is not the recorded one: {name!r} was changed; record it again")
        if array.shape != entry.shape or array.dtype.name != entry.dtype:
            raise UnusableInput(
                f"{path}: holds {array.dtype.name} {list(array.shape)}, the manifest says {entry.dtype} "
                f"{list(entry.shape)}; record it again"
            )
        if entry.format is not None:
            entry.format.check(array, name)
        return array


def write_manifest(
    folder: str | Path,
    tensors: Mapping[str, Recorded],
    *,
    model: str,
    digest: str,
    target: Target,
    images: int,
    taps: Mapping[str, Any] | None = None,
    name: str = "index.json",
) -> Manifest:
    """Write the tensors and their manifest as one folder, whole or not at all; the Manifest that was written.

    A folder of that name is replaced if all that is in it is recorded in its own manifest, with the same sha256.
    digest: sha256 of the model file. taps: counts by tensor name, as JSON. name: one of NAMES.
    Errors: UnusableInput where the folder holds anything else, or the system refuses to write.
    """
    from intsim import __version__

    return _write(Manifest(Path(folder), model, digest, target, images, {}, taps or {}, __version__), tensors, name)


def write_case(
    folder: str | Path, tensors: Mapping[str, Recorded], *, op: str, parameters: Mapping[str, Any]
) -> Manifest:
    """Write a case of one op with its manifest.json, as `write_manifest` does; the Manifest that was written.

    op: the stem in intsim.spec. parameters: its arguments that are no tensors, as JSON.
    """
    return _write(Manifest(Path(folder), "", "", None, 0, {}, op=op, parameters=parameters), tensors, "manifest.json")


def _write(described: Manifest, tensors: Mapping[str, Recorded], name: str) -> Manifest:
    """Write the tensors and the manifest that describes all but them; the whole Manifest."""
    files = file_names(list(tensors))
    entries = {}
    with new_folder(described.folder, _own_files) as fresh:
        for tensor, recorded in tensors.items():
            array = _stored(recorded)
            content = array_bytes(array)
            (fresh / files[tensor]).write_bytes(content)
            entries[tensor] = Entry(
                tensor,
                files[tensor],
                array.dtype.name,
                recorded.format,
                array.shape,
                recorded.role,
                _sha256(content),
            )
        manifest = replace(described, tensors=entries)
        text = json.dumps(_document(manifest), indent=1, allow_nan=False)
        (fresh / name).write_text(text + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: str | Path) -> Manifest:
    """The Manifest of a folder (or of the JSON file itself).

    Errors: UnusableInput for a missing, foreign or damaged manifest, a newer version, a file outside the folder.
    """
    path = Path(folder)
    with contextlib.suppress(OSError, ValueError):
        put_back(path)
    if path.is_dir():
        found = [path / name for name in NAMES if (path / name).is_file()]
        if not found:
            raise UnusableInput(f"{path}: has no {' or '.join(NAMES)}; give a folder that intsim wrote")
        path = found[0]
    data = read_json(path)
    if not isinstance(data, dict) or "manifest_version" not in data:
        raise UnusableInput(f"{path}: no manifest (no manifest_version); give a folder that intsim wrote")
    version = data["manifest_version"]
    if isinstance(version, bool) or version not in READ:
        raise UnusableInput(
            f"{path}: manifest_version is {shown(version)}, this intsim reads {' and '.join(map(str, READ))}; "
            f"update intsim"
        )
    try:
        return _manifest(path.parent, data)
    except IntsimError as error:
        raise UnusableInput(f"{path}: damaged manifest: {error}; record it again") from error


def file_names(tensors: list[str]) -> dict[str, str]:
    """A file name for each tensor: letters, digits, `.`, `_` and `-` of its name; different also in lower case."""
    names: dict[str, str] = {}
    taken = set(NAMES)
    for tensor in tensors:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", tensor)[:LONGEST_NAME].lstrip(".") or "_"
        candidate, number = f"{stem}.npy", 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{stem}-{number}.npy"
        taken.add(candidate.lower())
        names[tensor] = candidate
    return names


def _stored(recorded: Recorded) -> Array:
    """The array in the dtype in which it is recorded."""
    if recorded.role not in ROLES:
        raise ValueError(f"role must be one of {ROLES}, not {recorded.role!r}")
    if recorded.format is None:
        return recorded.array.astype("<f4")
    return recorded.array.astype(recorded.format.dtype.newbyteorder("<"))


def _document(manifest: Manifest) -> dict[str, Any]:
    tensors = {name: entry.to_dict() for name, entry in manifest.tensors.items()}
    if manifest.target is None:
        op = {"name": manifest.op, "parameters": dict(manifest.parameters)}
        return {"manifest_version": VERSION, "op": op, "tensors": tensors}
    return {
        "manifest_version": VERSION,
        "tool": {"name": "intsim", "version": manifest.tool_version},
        "model": {"name": manifest.model, "sha256": manifest.digest},
        "target": manifest.target.changes(),
        "images": manifest.images,
        "tensors": tensors,
        "taps": dict(manifest.taps),
    }


def _manifest(folder: Path, data: Mapping[str, Any]) -> Manifest:
    fields = Fields(data)
    tensors = {name: _entry(name, entry) for name, entry in fields.table("tensors").tables()}
    op = fields.table("op") if "op" in fields else None
    name, parameters = ("", {}) if op is None else (op.text("name"), op.table("parameters").data)
    if name and data["manifest_version"] != 1:
        return Manifest(folder, "", "", None, 0, tensors, op=name, parameters=parameters)
    model = fields.table("model")
    return Manifest(
        folder,
        model.text("name"),
        model.text("sha256"),
        Target.from_dict(fields.table("target").data, "its target"),
        fields.integer("images", 0),
        tensors,
        fields.table("taps").data if "taps" in fields else {},
        fields.table("tool").text("version"),
        name,
        parameters,
    )


def _entry(name: str, fields: Fields) -> Entry:
    file = fields.text("file")
    if not _is_plain(file):
        raise UnusableInput(f"tensor {shown(name)}: file {shown(file)} lies outside the folder, which is refused")
    shape = fields.integers("shape", 0)
    if len(shape) > MOST_AXES or math.prod(shape) > LARGEST_INTEGER:
        raise UnusableInput(f"tensor {shown(name)}: no array has the shape {shown(list(shape))}")
    reals = fields.data.get("format", "") is None
    format = None if reals else Format.from_dict(fields.table("format").data)
    if format is not None and format.axis is not None:
        channels = shape[format.axis] if format.axis < len(shape) else None
        if any(len(values) not in (1, channels) for values in (format.scale, format.zero_point)):
            raise UnusableInput(
                f"tensor {shown(name)}: its format has {len(format.scale)} scales and {len(format.zero_point)} zero "
                f"points along axis {format.axis} of the shape {shown(list(shape))}"
            )
    role = fields.text("role")
    if role not in ROLES:
        raise UnusableInput(f"tensor {shown(name)}: role must be one of {', '.join(ROLES)}, not {shown(role)}")
    return Entry(name, file, fields.text("dtype"), format, shape, role, fields.text("sha256"), fields.text("layout"))


def _is_plain(file: str) -> bool:
    """Whether a recorded path names a file in the folder or below it."""
    path = PurePosixPath(file)
    plain = file.isprintable() and not {"\\", ".."} & {*file, *path.parts}
    return plain and bool(path.parts) and not path.is_absolute() and len(file) <= LONGEST_PATH


def _inside(folder: Path, file: str, name: str) -> Path:
    """The path of a recorded file; links that lead out of the folder are refused."""
    path = folder / file
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnusableInput(
            f"{folder}: the file {file!r} of tensor {name!r} leads outside the folder, which is refused"
        )
    return path


def _own_files(folder: Path) -> list[Path] | None:
    """The regular files of a folder that its manifest records, with their sha256, then the manifest; None without one.

    Files below the folder's own level are left out: the folder that they are in is not ours to delete.
    """
    try:
        manifest = read_manifest(folder)
    except IntsimError:
        return None
    own = []
    for entry in manifest.tensors.values():
        path = folder / entry.file
        if path.parent == folder and _is_file(path) and sha256(path) == entry.sha256:
            own.append(path)
    return [*own, next(folder / name for name in NAMES if (folder / name).is_file())]


def _is_file(path: Path) -> bool:
    """Whether it is a regular file, not a link to one."""
    return path.is_file() and not path.is_symlink()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _some(names: Mapping[str, Any]) -> str:
    return ", ".join(list(names)[:5]) + (", …" if len(names) > 5 else "")
