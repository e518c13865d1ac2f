"""Codes held between two bounds."""

from __future__ import annotations

import numpy as np

from intsim.kernels.layout import Array, contiguous, share_elements
from intsim.kernels.parallel import Sharing, run_all


def clip(x: Array, *, low: int, high: int, pool: Sharing = run_all) -> Array:
    """The codes min(max(x, low), high), in x's shape and dtype.

    x: integer codes. Bounds outside the dtype bound nothing; NumPy's own vectorised loop does the rest.
    Raises ValueError if low > high, or if no value of the dtype lies between them.
    """
    info = np.iinfo(x.dtype)
    least, most = max(low, int(info.min)), min(high, int(info.max))
    if least > most:
        raise ValueError(f"low and high must enclose a value of {x.dtype}, not {low!r} and {high!r}")
    flat = contiguous(x).reshape(-1)
    out = np.empty_like(flat)

    def run(start: int, stop: int) -> None:
        np.clip(flat[start:stop], least, most, out=out[start:stop])

    share_elements(pool, run, flat.size)
    return out.reshape(x.shape)
