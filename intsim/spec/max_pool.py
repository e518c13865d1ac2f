"""The largest code of each window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from intsim.spec.integers import Integers, as_integers, bounds
from intsim.spec.windows import pooling


def max_pool(
    x: npt.ArrayLike,
    *,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil_mode: bool = False,
) -> Integers:
    """Codes: y[n, c, p] = max over k of x[n, c, p * stride + k * dilation], padding left out.

    x: int[N, C, *spatial]. pads: before each spatial axis, then after each. Returns i64[N, C, *output], the output
    lengths as `intsim.spec.windows` says. Raises OutOfDomain, also for a window without any element of the image.
    Source: ONNX's MaxPool.
    """
    codes = as_integers(x, "x")
    layout = pooling(codes, kernel, strides, dilations, pads, ceil_mode)
    # each window has an element of the image, and none of those is below the smallest of all
    padded = layout.padded(codes, bounds(codes)[0])
    return np.asarray(np.maximum.reduce([tap for _, tap in layout.taps(padded)]))
