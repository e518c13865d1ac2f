"""A folder of images as one array, decoded one at a time into a file that is mapped: memory stays small."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intsim.errors import UnusableInput
from intsim.images.pixels import image_reals
from intsim.images.preprocess import Preprocess
from intsim.islands.environment import standard_floats

Array = np.ndarray[Any, Any]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
"""The names of images end in one of these, in capitals or not."""

TEMPORARY = "/var/tmp"
"""Where the mapped file is, unless TMPDIR names another folder; /tmp is memory on many machines."""


@dataclass(frozen=True)
class Images:
    """The images of a folder, in order.

    array: f32[N, channels, height, width], read only, mapped. files: the N files. classes: the names of the class
    folders, sorted; labels: int64[N], the index of each image's class; no classes and None for a flat folder.
    left_out: files that are no images by their names.
    """

    array: Array
    files: tuple[Path, ...]
    classes: tuple[str, ...]
    labels: Array | None
    left_out: tuple[Path, ...]


@standard_floats()
def read_folder(
    path: str | Path,
    preprocess: Preprocess,
    image_shape: Sequence[Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Images:
    """The Images of a folder DIR/<class>/<image>, or DIR/<image>, preprocessed.

    Classes are sorted by name, by the code points of its characters ("10" comes before "2"); a class without images
    keeps its number. Within a class the images are sorted by name. Names that begin with a dot are not looked at.
    image_shape: what the model takes, [channels, height, width]; what is no int there fits anything.
    The array takes 4 bytes a real in an unnamed file in TMPDIR (else TEMPORARY), gone when the array is.
    Errors: UnusableInput for a folder of another kind or without images, images of different sizes, a shape that the
    model does not take, too little room; and those of `image_reals`.
    """
    listed = list_folder(path)
    first = image_reals(listed.files[0], preprocess)
    if image_shape is not None and not _fits(image_shape, first.shape):
        wanted = ", ".join(str(length) if isinstance(length, int) else "?" for length in image_shape)
        raise UnusableInput(
            f"{listed.files[0]}: preprocessed it has the shape {list(first.shape)}, the model takes [{wanted}]; change "
            f"resize, crop or channels"
        )
    array = _mapped((len(listed.files), *first.shape), path)
    for index, file in enumerate(listed.files):
        image = image_reals(file, preprocess) if index else first
        if image.shape != first.shape:
            raise UnusableInput(
                f"{file}: preprocessed it has the shape {list(image.shape)}, {listed.files[0].name} has "
                f"{list(first.shape)}; add a crop, or a resize with height and width"
            )
        array[index] = image
        if progress is not None:
            progress(index + 1, len(listed.files))
    array.flags.writeable = False
    labels = np.array(listed.labels, np.int64) if listed.classes else None
    return Images(array, tuple(listed.files), tuple(listed.classes), labels, tuple(listed.left_out))


@dataclass
class Listed:
    """What a folder holds: image files with the index of each one's class, the classes' names, and other files."""

    files: list[Path]
    labels: list[int]
    classes: list[str]
    left_out: list[Path]


def list_folder(path: str | Path) -> Listed:
    """What the folder holds, in the order of `read_folder`, without opening an image. Errors: UnusableInput."""
    path = Path(path)
    files, folders, left_out = _entries(path)
    if files and folders:
        raise UnusableInput(
            f"{path}: holds images ({files[0].name}) and folders ({folders[0].name}); make it DIR/<class>/<image>, or "
            f"images alone"
        )
    labels: list[int] = []
    for label, folder in enumerate(folders):
        found, inner, others = _entries(folder)
        if inner:
            raise UnusableInput(f"{inner[0]}: a folder in a class's folder; images must be DIR/<class>/<image>")
        files += found
        labels += [label] * len(found)
        left_out += others
    if not files:
        raise UnusableInput(f"{path}: holds no images, neither <image> nor <class>/<image> ({', '.join(SUFFIXES)})")
    return Listed(files, labels, [folder.name for folder in folders], left_out)


def _entries(path: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """Images, folders and other things in a folder, each sorted by name."""
    try:
        entries = sorted((entry for entry in path.iterdir() if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise UnusableInput(f"cannot read {path}: {error.strerror or error}") from error
    folders = [entry for entry in entries if entry.is_dir()]
    # A pipe with an image's name would block whoever opens it.
    files = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    taken = {*folders, *files}
    others = [entry for entry in entries if entry not in taken]
    return files, folders, others


def _mapped(shape: tuple[int, ...], path: str | Path) -> Array:
    """An array of that shape in a file that has no name, its room on the disk taken beforehand."""
    size = int(np.prod(shape, dtype=object)) * np.dtype(np.float32).itemsize
    folder = os.environ.get("TMPDIR") or TEMPORARY
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # Without it, a full disk would end the process when the array is written.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.float32, "r+", shape=shape)
    except OSError as error:
        raise UnusableInput(
            f"{path}: {shape[0]} images take {size / 1e6:.1f} MB in {folder}: {error.strerror or error}; set TMPDIR "
            f"to a folder with room, or give fewer images"
        ) from error


def _fits(wanted: Sequence[Any], shape: tuple[int, ...]) -> bool:
    same = all(not isinstance(length, int) or length == own for length, own in zip(wanted, shape, strict=False))
    return len(wanted) == len(shape) and same
