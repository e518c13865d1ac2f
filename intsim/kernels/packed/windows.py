"""Windows that slide over an image and are clipped to it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int = npt.NDArray[np.int64]


def taps_inside(image: int, output: int, kernel: int, stride: int, dilation: int, before: int) -> tuple[Int, Int]:
    """The first tap of each window inside the image, and how many there are, int64[output] each; on one axis.

    Window o has its taps at o * stride - before + tap * dilation. image, output: lengths; before: padding.
    """
    start = np.arange(output) * stride - before
    first = np.maximum(-(start // dilation), 0)
    last = np.minimum((image - 1 - start) // dilation, kernel - 1)
    return first, last - first + 1
