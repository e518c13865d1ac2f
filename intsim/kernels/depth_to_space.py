"""Channels become blocks of pixels."""

from __future__ import annotations

from intsim.kernels.layout import Array, contiguous
from intsim.kernels.parallel import Sharing, run_all


def depth_to_space(x: Array, *, blocksize: int, mode: str, pool: Sharing = run_all) -> Array:
    """[N, C*b*b, H, W] as [N, C, H*b, W*b], dtype kept; mode: DCR or CRD, as ONNX has them. pool: not used."""
    n, depth, height, width = x.shape
    b = blocksize
    channels = depth // (b * b)
    if mode == "DCR":
        moved = x.reshape(n, b, b, channels, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        moved = x.reshape(n, channels, b, b, height, width).transpose(0, 1, 4, 2, 5, 3)
    return contiguous(moved).reshape(n, channels, height * b, width * b)
