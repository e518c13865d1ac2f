"""Data movement: values move, none changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intsim.fakequant.ops.padding import padded
from intsim.spec.resize_nearest import resize_nearest


def flatten(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """x as a matrix: the axes before `axis`, and the others."""
    return x.reshape(int(np.prod(x.shape[: a["axis"]])), -1)


def reshape(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """x in another shape; 0 keeps the length of the same axis."""
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(a["shape"])])


def transpose(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The axes in another order."""
    return x.permute(*a["perm"])


def squeeze(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """Without axes of length 1."""
    return x.squeeze(tuple(a["axes"]))


def unsqueeze(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """With further axes of length 1."""
    for axis in sorted(n % (x.ndim + len(a["axes"])) for n in a["axes"]):
        x = x.unsqueeze(axis)
    return x


def slice_(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """The elements from start to end by step, along some axes."""
    for start, end, axis, step in zip(a["starts"], a["ends"], a["axes"], a["steps"], strict=True):
        taken = range(x.shape[axis])[slice(start, end, step)]
        x = x.index_select(axis, torch.tensor(list(taken), dtype=torch.int64))
    return x


def split(a: Mapping[str, Any], x: Tensor) -> tuple[Tensor, ...]:
    """Parts of those sizes along the axis."""
    return torch.split(x, list(a["sizes"]), a["axis"])


def depth_to_space(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """Channels become blocks of pixels; torch's pixel_shuffle is CRD."""
    if a["mode"] == "CRD":
        return torch.pixel_shuffle(x, a["blocksize"])
    n, depth, height, width = x.shape
    b = a["blocksize"]
    blocks = x.reshape(n, b, b, depth // (b * b), height, width).permute(0, 3, 4, 1, 5, 2)
    return blocks.reshape(n, depth // (b * b), height * b, width * b)


def pad(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """x with a border: a constant, or its own edge or mirror image."""
    if a["mode"] == "constant":
        return padded(x, a["pads"], float(a.get("value", 0.0)))
    half = len(a["pads"]) // 2
    width = [(a["pads"][i], a["pads"][half + i]) for i in range(half)]
    return _placed(x, np.pad(_numbers(x), width, mode=a["mode"]))


def resize(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """ONNX's nearest Resize, which torch lacks: the spec says which elements are copied."""
    keys = ("scales", "sizes", "coordinate_mode", "nearest_mode")
    parameters: dict[str, Any] = {key: a.get(key) for key in keys}
    return _placed(x, resize_nearest(_numbers(x), **parameters))


def _numbers(x: Tensor) -> np.ndarray[Any, Any]:
    """The number of each element, in x's shape."""
    return np.arange(x.numel(), dtype=np.int64).reshape(x.shape)


def _placed(x: Tensor, numbers: np.ndarray[Any, Any]) -> Tensor:
    """The elements of those numbers."""
    return x.reshape(-1)[torch.from_numpy(np.ascontiguousarray(numbers))]


FORMS: Mapping[str, Callable[..., Any]] = {
    "Flatten": flatten,
    "Reshape": reshape,
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Slice": slice_,
    "Split": split,
    "DepthToSpace": depth_to_space,
    "Pad": pad,
    "Resize": resize,
}
