"""An array with a border."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels.layout import Array, contiguous
from intsim.kernels.parallel import Sharing, run_all


def pad(x: Array, *, pads: tuple[int, ...], mode: str, value: Any = 0, pool: Sharing = run_all) -> Array:
    """x with pads[i] elements before and pads[rank + i] after axis i; negative pads cut off. x's dtype.

    mode: `constant` (of this value, a code), `reflect` (the edge is not repeated), `edge`, `wrap`. pool: not used.
    Raises ValueError for another mode.
    """
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise ValueError(f"mode must be constant, reflect, edge or wrap, not {mode!r}")
    before, after = pads[: x.ndim], pads[x.ndim :]
    kept = x[tuple(slice(max(-b, 0), n - max(-a, 0)) for b, a, n in zip(before, after, x.shape, strict=True))]
    border = [(max(b, 0), max(a, 0)) for b, a in zip(before, after, strict=True)]
    if mode == "constant":
        return contiguous(np.pad(kept, border, constant_values=x.dtype.type(value)))
    return contiguous(np.pad(kept, border, mode=mode))  # type: ignore[call-overload]
