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
    ceil_mode, except that no window may start behind the image and its padding before. Source: ONNX's MaxPool.
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
            starts = [p * d for p, d in zip(position, self.dilations, strict=True)]
            ends = [b + (o - 1) * s + 1 for b, o, s in zip(starts, self.output, self.strides, strict=True)]
            cut: tuple[Any, ...] = (..., *map(slice, starts, ends, self.strides))
            yield position, padded[cut]

    def _padded_length(self, axis: int) -> int:
        span = (self.output[axis] - 1) * self.strides[axis] + self.dilations[axis] * (self.kernel[axis] - 1) + 1
        return max(self.before[axis] + self.image[axis] + self.after[axis], span)


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
