"""The same elements in another shape."""

from __future__ import annotations

from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all


def reshape(x: Array, *, shape: tuple[int, ...], pool: Sharing = run_all) -> Array:
    """x's elements in this shape, where 0 stands for x's own length there and -1 for what is left (ONNX Reshape).

    A view of x where there can be one. Raises ValueError where the elements do not fit. pool: not used.
    """
    return x.reshape([x.shape[i] if length == 0 else length for i, length in enumerate(shape)])
