"""Windows that slide over a plane: how many there are, and how many elements each one has."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from intsim.kernels.layout import Array, contiguous


@dataclass(frozen=True)
class Windows:
    """Two-dimensional pooling of planes: heights first, then widths. `output`: how many windows there are."""

    image: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    begins: tuple[int, int]
    ends: tuple[int, int]
    output: tuple[int, int]

    @property
    def geometry(self) -> tuple[tuple[int, int], ...]:
        """Kernel, strides, dilations and begins, as the compiled loops take them."""
        return self.kernel, self.strides, self.dilations, self.begins

    def counts(self, include_pad: bool) -> tuple[Array, Array]:
        """How many rows and how many columns of each window are in the image (or in it and its padding).

        What ceil_mode lets a window reach beyond the padding never counts.
        """
        per_axis = []
        for d in (0, 1):
            first, last = (-self.begins[d], self.image[d] + self.ends[d]) if include_pad else (0, self.image[d])
            taps = np.arange(self.kernel[d]) * self.dilations[d] - self.begins[d]
            places = np.arange(self.output[d])[:, None] * self.strides[d] + taps
            per_axis.append(((first <= places) & (places < last)).sum(axis=1, dtype=np.int64))
        return per_axis[0], per_axis[1]


def planes_and_windows(
    x: Array,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[Array, Windows, tuple[int, ...]]:
    """x [N, C, (H,) W] as planes [N * C, H, W], the windows (a vector is a plane of one row), and the result's shape.

    Along an axis there are floor((length + pads - dilation * (kernel - 1) - 1) / stride) + 1 windows; with ceil_mode
    ceil, less the last one if it would start after the image and the padding before it (ONNX's MaxPool).
    """
    if x.ndim == 3:
        planes, windows, shape = planes_and_windows(
            x[:, :, None],
            (1, *kernel),
            (1, *strides),
            (0, pads[0], 0, pads[1]),
            (1, *dilations),
            ceil_mode,
        )
        return planes, windows, (*shape[:2], shape[3])
    image = (x.shape[2], x.shape[3])
    height, width = (
        count(image[d], kernel[d], strides[d], pads[d], pads[2 + d], dilations[d], ceil_mode) for d in (0, 1)
    )
    windows = Windows(
        image,
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (pads[0], pads[1]),
        (pads[2], pads[3]),
        (height, width),
    )
    if not all(counts.all() for counts in windows.counts(False)):
        raise ValueError(f"every window must reach the image: pads {pads} leave one with nothing but padding")
    return contiguous(x).reshape(prod(x.shape[:2]), *image), windows, (*x.shape[:2], height, width)


def count(length: int, kernel: int, stride: int, begin: int, end: int, dilation: int, ceil_mode: bool = False) -> int:
    """How many windows there are along an axis; see planes_and_windows. Raises ValueError where none fits."""
    room = length + begin + end - dilation * (kernel - 1) - 1
    if room < 0:
        raise ValueError(f"a window of {dilation * (kernel - 1) + 1} must fit in {length} + {begin} + {end} elements")
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    return count - 1 if ceil_mode and (count - 1) * stride >= length + begin else count
