"""Channels become blocks of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from intsim.errors import OutOfDomain
from intsim.spec import checks

LONGEST = 1 << 16
"""The longest side of a block."""


def depth_to_space(x: npt.ArrayLike, *, blocksize: int, mode: str) -> npt.NDArray[Any]:
    """y[n, c, h*b + i, w*b + j] = x[n, k, h, w], k = (i*b + j)*C + c for DCR, c*b*b + i*b + j for CRD; b: blocksize.

    x: [N, C*b*b, H, W] of any dtype, which is kept. Returns [N, C, H*b, W*b]. Raises OutOfDomain.
    Source: ONNX's DepthToSpace.
    """
    array = np.asarray(x)
    b = checks.integer(blocksize, 1, LONGEST, "blocksize")
    if array.ndim != 4 or array.shape[1] % (b * b):
        raise OutOfDomain(f"x must be [N, C * {b * b}, H, W], not of shape {array.shape}")
    if mode not in ("DCR", "CRD"):
        raise OutOfDomain(f"mode must be DCR or CRD, not {mode!r}")
    n, depth, height, width = array.shape
    channels = depth // (b * b)
    y = np.empty((n, channels, height * b, width * b), array.dtype)
    for i in range(b):
        for j in range(b):
            first = (i * b + j) * channels if mode == "DCR" else i * b + j
            step = 1 if mode == "DCR" else b * b
            y[:, :, i::b, j::b] = array[:, first : first + step * (channels - 1) + 1 : step]
    return y
