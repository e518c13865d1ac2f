"""Arrays that the user names on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intsim import files
from intsim.cli.terminal import note, progress
from intsim.errors import UnusableInput
from intsim.images import Preprocess, find_preprocess, read_folder

if TYPE_CHECKING:
    from intsim.graph import Graph

Array = np.ndarray[Any, Any]


def read_inputs(inputs: tuple[str, ...], graph: Graph, preprocess: str | None) -> tuple[dict[str, Array], Array | None]:
    """The arrays by input name, and the labels (or None), from --input values; preprocess: for folders of images.

    Errors: UnusableInput for a missing, unknown or repeated input, a file that holds no such array, and --preprocess
    without a folder; those of `read_image_folder`.
    """
    names = graph.inputs
    arrays: dict[str, Array] = {}
    labels: Array | None = None
    folders: list[str] = []
    for text in inputs:
        name, path = _split(text, names)
        if name not in names:
            raise UnusableInput(f"--input {text}: the model has no input {name!r}; it has {', '.join(names)}")
        if name in arrays:
            raise UnusableInput(f"--input {text}: input {name!r} is given twice; the model has {', '.join(names)}")
        if Path(path).is_dir():
            how = find_preprocess(preprocess, graph.metadata, path)
            arrays[name], own = read_image_folder(path, how, graph.values[name].shape)
            folders.append(path)
        else:
            arrays[name], own = read_images(path)
        labels = labels if own is None else own
    if not folders:
        refuse_preprocess(preprocess)
    missing = [name for name in names if name not in arrays]
    if missing:
        raise UnusableInput(f"no array for input {missing[0]!r}; add --input {missing[0]}=X.npy")
    if labels is not None:
        _check_labels(labels, len(next(iter(arrays.values()))))
    return arrays, labels


def read_images(path: str, member: str = "x") -> tuple[Array, Array | None]:
    """The array of a .npy file, or the member of that name of an .npz file and its labels y. Errors: UnusableInput."""
    if Path(path).suffix != ".npz":
        return files.read_array(path), None
    members = files.read_arrays(path)
    if member not in members:
        raise UnusableInput(f"{path}: must hold an array {member}, not only {', '.join(sorted(members))}")
    if members[member].ndim == 0:
        raise UnusableInput(f"{path}: {member} must have the batch as its first axis, not a single number")
    return members[member], members.get("y")


def read_image_folder(path: str, preprocess: Preprocess, shape: Sequence[Any]) -> tuple[Array, Array | None]:
    """The images of a folder as reals, and their labels where it has a folder for each class.

    shape: of the model's input, batch first. Errors: UnusableInput, MissingDependency.
    """
    with progress("reading images") as advance:
        images = read_folder(path, preprocess, shape[1:], advance)
    if images.left_out:
        note(f"{path}: left out, as no images by their names: {len(images.left_out)} (first: {images.left_out[0]})")
    return images.array, images.labels


def refuse_preprocess(preprocess: str | None) -> None:
    """Errors: UnusableInput where there is one, though no input is a folder."""
    if preprocess is not None:
        raise UnusableInput(f"--preprocess {preprocess} is for folders of images, and no input is one; leave it out")


def _split(text: str, names: tuple[str, ...]) -> tuple[str, str]:
    """Name and path of a value; a path with a `=` in it needs no name where the file exists."""
    name, equals, path = text.partition("=")
    if equals and (name in names or not Path(text).exists()):
        return name, path
    return (names[0] if names else ""), text


def _check_labels(labels: Array, images: int) -> None:
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        raise UnusableInput(
            f"labels y must be {images} integers, one an image, not {labels.dtype} of shape {list(labels.shape)}"
        )
