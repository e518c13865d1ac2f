"""Windows that slide over an image: the shape rule and the taps that convolution and pooling share."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks

LONGEST = 2**31 - 1


@dataclass(frozen=True)
class Windows:
    """Where the windows lie on an image with spatial lengths `image`.

    Per spatial axis: kernel length, stride, dilation, padding before and after, and `output`, the number of windows:
    floor((image + before + after - dilation * (kernel - 1) - 1) / stride) + 1; ceil in the place of floor with
    ceil_mode, less the last window if it starts after the image and the padding before it. Source: ONNX's MaxPool.
    """

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    output: tuple[int, ...]

    def padded(self, x: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """x[..., *image] with `fill` around it, so far that every window lies inside."""
        leading = x.shape[: x.ndim - len(self.image)]
        around = np.full(leading + tuple(map(self._padded_length, range(len(self.image)))), fill, x.dtype)
        inside: tuple[Any, ...] = (..., *(slice(b, b + n) for b, n in zip(self.before, self.image, strict=True)))
        around[inside] = x
        return around

    def taps(self, padded: npt.NDArray[Any]) -> Iterator[tuple[tuple[int, ...], npt.NDArray[Any]]]:
        """For each kernel position, row by row: the position, and that element of every window, [..., *output]."""
        for position in itertools.product(*(range(k) for k in self.kernel)):
            yield position, self.tap(padded, position)

    def tap(self, padded: npt.NDArray[Any], position: tuple[int, ...]) -> npt.NDArray[Any]:
        """The element of every window at one kernel position, [..., *output]."""
        starts = [p * d for p, d in zip(position, self.dilations, strict=True)]
        ends = [b + (o - 1) * s + 1 for b, o, s in zip(starts, self.output, self.strides, strict=True)]
        cut: tuple[Any, ...] = (..., *map(slice, starts, ends, self.strides))
        return padded[cut]

    def counts(self, include_pad: bool) -> npt.NDArray[np.int64]:
        """int64[*output]: how many elements of each window lie in the image, with include_pad in it or its padding.

        What ceil_mode lets a window reach beyond the padding never counts.
        """
        inside = np.ones(self.image, np.int64)
        if include_pad:
            inside = np.pad(inside, list(zip(self.before, self.after, strict=True)), constant_values=1)
        area = np.zeros([self._padded_length(axis) for axis in range(len(self.image))], np.int64)
        starts = [0] * len(self.image) if include_pad else self.before
        area[tuple(slice(s, s + n) for s, n in zip(starts, inside.shape, strict=True))] = inside
        return np.sum([tap for _, tap in self.taps(area)], axis=0, dtype=np.int64)

    def check_filled(self) -> None:
        """Raise OutOfDomain if a window has no element of the image."""
        empty = np.argwhere(self.counts(False) == 0)
        if len(empty):
            at = tuple(int(i) for i in empty[0])
            raise OutOfDomain(
                f"pads must leave each window an element of the image, not {(*self.before, *self.after)}: "
                f"window {at} has none"
            )

    def _padded_length(self, axis: int) -> int:
        span = (self.output[axis] - 1) * self.strides[axis] + self.dilations[axis] * (self.kernel[axis] - 1) + 1
        return max(self.before[axis] + self.image[axis] + self.after[axis], span)


def pooling(x: npt.NDArray[Any], kernel: Any, strides: Any, dilations: Any, pads: Any, ceil_mode: Any) -> Windows:
    """The Windows of a pooling over x[N, C, *spatial], each with an element of the image. Raises OutOfDomain."""
    if x.ndim < 3:
        raise OutOfDomain(f"x must have a rank of at least 3, not shape {x.shape}")
    layout = windows(x.shape[2:], kernel, strides, dilations, pads, ceil_mode)
    layout.check_filled()
    return layout


def windows(
    image: tuple[int, ...],
    kernel: Any,
    strides: Any,
    dilations: Any,
    pads: Any,
    ceil_mode: Any = False,
) -> Windows:
    """The Windows of these parameters. pads: before each spatial axis, then after each, as in ONNX.

    Raises OutOfDomain, also where there is no window at all.
    """
    rank = len(image)
    kernel = checks.integers(kernel, rank, 1, LONGEST, "kernel")
    strides = checks.integers(strides, rank, 1, LONGEST, "strides")
    dilations = checks.integers(dilations, rank, 1, LONGEST, "dilations")
    pads = checks.integers(pads, 2 * rank, 0, LONGEST, "pads")
    up = checks.flag(ceil_mode, "ceil_mode")
    before, after = pads[:rank], pads[rank:]
    output = tuple(map(_count, image, kernel, strides, dilations, before, after, [up] * rank))
    return Windows(image, kernel, strides, dilations, before, after, output)


def _count(image: int, kernel: int, stride: int, dilation: int, before: int, after: int, up: bool) -> int:
    extent = dilation * (kernel - 1) + 1
    room = image + before + after - extent
    if room < 0:
        raise OutOfDomain(f"kernel must fit in the padded length {image + before + after}, not span {extent}")
    count = (-(-room // stride) if up else room // stride) + 1
    return count - 1 if up and (count - 1) * stride >= image + before else count
