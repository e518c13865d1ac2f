"""Inputs: the arrays that a user gives to a model, checked and named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from intsim.errors import OutOfDomain, UnknownName, UnusableInput
from intsim.formats import Format
from intsim.lowering.lowered import Lowered

Array = np.ndarray[Any, Any]

REAL_BYTES = (2, 4, 8)
"""The sizes of floats that are reals. float64 is rounded to float32 (half_even), which is what an ONNX model takes."""

ROWS = 64
"""Images that are checked at a time, so that a mapped file is not read into memory as a whole."""


Signature = tuple[tuple[str, tuple[int | None, ...], Format | None], ...]
"""Name, declared shape and format of each input of a network."""


class Inputs(Mapping[str, Array]):
    """Arrays by input name that were checked, and what for: the inputs of networks of one signature."""

    def __init__(self, arrays: Mapping[str, Array], signature: Signature) -> None:
        self._arrays, self._signature = dict(arrays), signature

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def part(self, first: int, stop: int) -> Inputs:
        """The images [first, stop)."""
        return Inputs({name: array[first:stop] for name, array in self._arrays.items()}, self._signature)

    def fit(self, lowered: Lowered) -> bool:
        """Whether they were checked for inputs of these names, shapes and formats."""
        return self._signature == signature_of(lowered)


def signature_of(lowered: Lowered) -> Signature:
    """The Signature of a network's inputs."""
    return tuple(
        (name, lowered.graph.values[name].shape, lowered.values[lowered.inputs[name]]) for name in lowered.graph.inputs
    )


def check_inputs(lowered: Lowered, x: Array | Mapping[str, Array]) -> dict[str, Array]:
    """The arrays by input name: reals as float32, codes in their format's dtype.

    x: one array for a model with one input, else a dict by input name. A floating dtype is reals, an integer dtype is
    codes. The first axis is the batch; a model with a fixed batch takes any multiple of it.
    Errors: UnusableInput for missing or unknown inputs, wrong shapes and dtypes, NaN and infinity, an empty batch;
    OutOfDomain for codes outside the format.
    """
    names = lowered.graph.inputs
    if not isinstance(x, Mapping):
        if len(names) != 1:
            raise UnusableInput(f"the model has {len(names)} inputs; give a dict of arrays for {', '.join(names)}")
        x = {names[0]: x}
    for name in x:
        if name not in names:
            raise UnknownName(f"the model has no input {name!r}; it has {', '.join(names)}")
    missing = [name for name in names if name not in x]
    if missing:
        raise UnusableInput(f"no array for input {missing[0]!r}; give one of shape {_shape_text(lowered, missing[0])}")
    return {name: _checked(lowered, name, _array(x[name], name)) for name in names}


def values_of(lowered: Lowered, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Checked inputs by the name of the value that they are: codes in the place of a real input stand for its codes."""
    return {lowered.inputs[name] if x.dtype.kind in "iu" else name: x for name, x in inputs.items()}


def _array(x: Any, name: str) -> Array:
    """What is an array, or like one: nested lists, a tensor on the CPU."""
    try:
        return np.asanyarray(x)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UnusableInput(f"input {name!r} must be an array, not {type(x).__name__} ({error})") from error


def _checked(lowered: Lowered, name: str, array: Array) -> Array:
    _check_shape(lowered, name, array)
    format = lowered.values[lowered.inputs[name]]
    if array.dtype.kind in "iu":
        if format is None:
            raise UnusableInput(f"input {name!r} takes reals, which no format turns into codes; give floats")
        return checked_codes(array, format, name)
    if array.dtype.kind != "f" or array.dtype.itemsize not in REAL_BYTES:
        raise UnusableInput(f"input {name!r}: give floats (reals) or integers (codes), not {array.dtype}")
    return checked_reals(array, name)


def checked_codes(codes: Array, format: Format, name: str) -> Array:
    """The codes in the format's dtype. Errors: OutOfDomain names the first code outside the format."""
    for row in range(0, len(codes) if codes.ndim else 1, ROWS):
        part = codes[row : row + ROWS] if codes.ndim else codes
        try:
            format.check(part, name)
        except OutOfDomain:
            format.check(codes, name)  # for the coordinate in the whole array
    return codes.astype(format.dtype, copy=False)


def checked_reals(reals: Array, name: str) -> Array:
    """The reals as float32. Errors: UnusableInput names the first one that is NaN, infinite or beyond float32."""
    with np.errstate(over="ignore"):
        result = reals.astype(np.float32, copy=False)
    for row in range(0, len(result) if result.ndim else 1, ROWS):
        part = result[row : row + ROWS] if result.ndim else result
        finite = np.isfinite(part)
        if finite.all():
            continue
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        whole = (at[0] + row, *at[1:]) if at else ()
        raise UnusableInput(f"input {name!r}: {reals[whole]} at {whole} is not a finite float32; clean the data")
    return result


def check_override(lowered: Lowered, override: Mapping[str, Array]) -> dict[str, Array]:
    """The overriding arrays in the dtypes in which the values are stored.

    Errors: UnusableInput for an unknown value, OutOfDomain for a code outside the value's format.
    """
    if not isinstance(override, Mapping):
        raise UnusableInput(f"override must be a dict of codes by tensor name, not {override!r:.80}")
    result = {}
    for name, array in override.items():
        name = lowered.find_value(name, "override of")
        if name in result:
            raise UnusableInput(f"override of {name!r}: it is given twice, by its own name and by its node's; give one")
        format = lowered.values[name]
        array = np.asarray(array)
        value = lowered.graph.values.get(name)
        if value is not None and not _fits(value.shape, array.shape):
            raise UnusableInput(f"override of {name!r}: expected {_text(value.shape)}, got shape {list(array.shape)}")
        if format is None:
            result[name] = array.astype(np.float32)
            continue
        if array.dtype.kind not in "iu":
            raise UnusableInput(f"override of {name!r}: codes must be integers, not {array.dtype}")
        format.check(array, name)
        result[name] = array.astype(format.dtype, copy=False)
    return result


def _check_shape(lowered: Lowered, name: str, array: Array) -> None:
    declared = lowered.graph.values[name].shape
    expected = _shape_text(lowered, name)
    got = f"got shape {list(array.shape)}"
    if array.ndim != len(declared):
        raise UnusableInput(f"input {name!r}: expected {len(declared)} axes, {expected}, {got}")
    if array.size == 0:
        raise UnusableInput(f"input {name!r}: {'an empty batch' if len(array) == 0 else 'an empty array'}, {got}")
    shapes = [lowered.graph.values[n].shape for n in lowered.graph.inputs]
    fixed_batch = all(shape[0] is not None for shape in shapes if shape)
    for axis, (length, own) in enumerate(zip(declared, array.shape, strict=True)):
        if length is None or own == length or (fixed_batch and axis == 0 and own % length == 0):
            continue
        raise UnusableInput(f"input {name!r}: expected shape {expected}, {got}{_hint(declared, array.shape)}")


def _fits(declared: tuple[int | None, ...], shape: tuple[int, ...]) -> bool:
    """Whether a shape is the declared one, for some number of images."""
    same = all(length in (None, own) for length, own in zip(declared[1:], shape[1:], strict=False))
    return len(declared) == len(shape) and same


def _shape_text(lowered: Lowered, name: str) -> str:
    return _text(lowered.graph.values[name].shape)


def _text(lengths: tuple[int | None, ...]) -> str:
    """A shape like [N, 3, 224, 224]; a fixed batch of 4 is 4*N."""
    texts = ["?" if length is None else str(length) for length in lengths]
    if lengths:
        first = lengths[0]
        texts[0] = "N" if first in (None, 1) else f"{first}*N"
    return f"[{', '.join(texts)}]"


def _hint(declared: tuple[int | None, ...], shape: tuple[int, ...]) -> str:
    """What may have gone wrong, where that can be seen."""
    if len(shape) == 4 and declared[1:] == (shape[3], shape[1], shape[2]):
        return "; the channels are last here, ONNX has them second: transpose to (0, 3, 1, 2)"
    return ""
