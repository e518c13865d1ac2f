"""Arrays that the user names on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from intsim import files
from intsim.errors import UnusableInput

Array = np.ndarray[Any, Any]


def read_inputs(inputs: tuple[str, ...], names: tuple[str, ...]) -> tuple[dict[str, Array], Array | None]:
    """The arrays by input name, and the labels (or None), from --input values.

    Errors: UnusableInput for a missing, unknown or repeated input, or a file that holds no such array.
    """
    arrays: dict[str, Array] = {}
    labels: Array | None = None
    for text in inputs:
        name, path = _split(text, names)
        if name not in names:
            raise UnusableInput(f"--input {text}: the model has no input {name!r}; it has {', '.join(names)}")
        if name in arrays:
            raise UnusableInput(f"--input {text}: input {name!r} is given twice; the model has {', '.join(names)}")
        arrays[name], own = read_images(path)
        labels = labels if own is None else own
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
