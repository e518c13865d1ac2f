"""Preprocess: how an image becomes the reals that a network was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intsim.errors import UnusableInput, shown
from intsim.files import read_toml

METADATA = "intsim.preprocess"
"""The metadata entry of a model file that holds its Preprocess as JSON."""

CHANNELS = {"RGB": 3, "BGR": 3, "gray": 1}
"""Channel order -> number of channels."""

INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
"""Pillow's filters, by its own names."""

LAYOUTS = ("NCHW",)

MOST_SIDE = 1 << 16
"""The largest side of an image that a Preprocess may ask for."""


@dataclass(frozen=True)
class Resize:
    """The size that an image is resized to: (height, width), or its shorter side; interpolation: Pillow's filter."""

    interpolation: str
    shorter_side: int | None = None
    height: int | None = None
    width: int | None = None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result. With shorter_side s: longer = floor(s * longer / shorter), exactly.

        Errors: UnusableInput where it has neither.
        """
        if self.shorter_side is not None:
            shorter = min(height, width)
            return self.shorter_side * height // shorter, self.shorter_side * width // shorter
        if self.height is None or self.width is None:
            raise UnusableInput("resize: it needs shorter_side, or height and width")
        return self.height, self.width


@dataclass(frozen=True)
class Preprocess:
    """What is done to an image, in this order: channels, resize, crop, then reals.

    channels: one of CHANNELS, resize: a Resize or None, crop: (height, width) of the centre or None; all on 8 bits.
    real = (pixel / scale - mean) / std, each operation in float32, in that order; scale, mean and std hold a number a
    channel, in the order of the channels. Result: f32[channels, height, width].
    """

    channels: str = "RGB"
    resize: Resize | None = None
    crop: tuple[int, int] | None = None
    scale: tuple[float, ...] = (255.0, 255.0, 255.0)
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """A dict for JSON and TOML, with a version; `from_dict` reads it back."""
        data: dict[str, Any] = {"preprocess_version": 1, "channels": self.channels, "layout": LAYOUTS[0]}
        if self.resize is not None:
            data["resize"] = {key: value for key, value in vars(self.resize).items() if value is not None}
        if self.crop is not None:
            data["crop"] = {"height": self.crop[0], "width": self.crop[1]}
        return {**data, "scale": list(self.scale), "mean": list(self.mean), "std": list(self.std)}

    def to_json(self) -> str:
        """The text of the metadata entry METADATA."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "preprocess") -> Preprocess:
        """The Preprocess that a dict describes. Errors: UnusableInput for an unknown, missing or wrong entry."""
        known = ("preprocess_version", "channels", "resize", "crop", "scale", "mean", "std", "layout")
        _check_keys(data, known, where)
        version = data.get("preprocess_version")
        if version != 1 or isinstance(version, bool):
            found = "is missing" if version is None else f"is {shown(version)}"
            raise UnusableInput(f"{where}: preprocess_version must be 1, it {found}")
        channels = _one_of(data.get("channels", "RGB"), CHANNELS, f"{where}: channels")
        _one_of(data.get("layout", LAYOUTS[0]), LAYOUTS, f"{where}: layout")
        resize, crop = data.get("resize"), data.get("crop")
        count = CHANNELS[channels]
        return cls(
            channels,
            None if resize is None else _resize(_table(resize, f"{where}: resize"), f"{where}: resize"),
            None if crop is None else _size(_table(crop, f"{where}: crop"), f"{where}: crop"),
            _numbers(data.get("scale", 255), count, f"{where}: scale", positive=True),
            _numbers(data.get("mean", 0), count, f"{where}: mean"),
            _numbers(data.get("std", 1), count, f"{where}: std", positive=True),
        )


def find_preprocess(file: str | Path | None, metadata: Mapping[str, str], folder: str | Path) -> Preprocess:
    """The Preprocess of the TOML file, else the one in the model's metadata, for that folder of images.

    Errors: UnusableInput where there is neither, or where it is none.
    """
    if file is not None:
        where = f"preprocess file {file}"
        return Preprocess.from_dict(read_toml(file, "preprocess file"), where)
    if METADATA not in metadata:
        raise UnusableInput(
            f"{folder}: a folder of images needs to be told their resize, crop, channels, mean and std: there is no "
            f"--preprocess P.toml, and the model's metadata has no {METADATA!r}; give --preprocess P.toml"
        )
    where = f"the model's metadata {METADATA}"
    try:
        data = json.loads(metadata[METADATA])
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{where}: not JSON: {error}; give --preprocess P.toml") from error
    return Preprocess.from_dict(_table(data, where), where)


def _resize(data: Mapping[str, Any], where: str) -> Resize:
    if "interpolation" not in data:
        raise UnusableInput(f"{where}: interpolation is missing; name one of {', '.join(INTERPOLATIONS)}")
    interpolation = _one_of(data["interpolation"], INTERPOLATIONS, f"{where}: interpolation")
    sides = {key: value for key, value in data.items() if key != "interpolation"}
    if "shorter_side" in sides:
        _check_keys(sides, ("shorter_side",), f"{where} by shorter_side")
        return Resize(interpolation, shorter_side=_side(sides["shorter_side"], f"{where}: shorter_side"))
    height, width = _size(sides, where, "shorter_side, or ")
    return Resize(interpolation, height=height, width=width)


def _size(data: Mapping[str, Any], where: str, other: str = "") -> tuple[int, int]:
    _check_keys(data, ("height", "width"), where)
    for key in ("height", "width"):
        if key not in data:
            raise UnusableInput(f"{where}: {key} is missing; it needs {other}height and width")
    return _side(data["height"], f"{where}: height"), _side(data["width"], f"{where}: width")


def _side(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SIDE:
        raise UnusableInput(f"{where} must be an integer from 1 to {MOST_SIDE}, not {shown(value)}")
    return value


def _numbers(value: Any, count: int, where: str, positive: bool = False) -> tuple[float, ...]:
    """A finite float32 a channel, from one number or a list of them."""
    numbers = value if isinstance(value, list) else [value] * count
    wanted = "a positive number" if positive else "a number"
    if len(numbers) != count:
        raise UnusableInput(f"{where} must be {wanted}, or a list of {count}, one a channel, not {shown(value)}")
    for number in numbers:
        real = isinstance(number, int | float) and not isinstance(number, bool)
        if not real or not _fits_float32(number, positive):
            raise UnusableInput(f"{where} must be {wanted} that float32 can hold, not {shown(number)}")
    return tuple(float(number) for number in numbers)


def _fits_float32(number: float, positive: bool) -> bool:
    least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    return (least if positive else -most) <= number <= most


def _one_of(value: Any, known: Iterable[str], where: str) -> str:
    if not isinstance(value, str) or value not in known:
        raise UnusableInput(f"{where} must be one of {', '.join(known)}, not {shown(value)}")
    return value


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UnusableInput(f"{where} must be a table of entries, not {shown(value)}")
    return value


def _check_keys(data: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise UnusableInput(f"{where}: unknown entry {shown(unknown[0])}; one of {', '.join(known)}")
