"""The same codes under another name."""

from __future__ import annotations

from intsim.kernels.layout import Array
from intsim.kernels.parallel import Sharing, run_all


def copy(x: Array, *, pool: Sharing = run_all) -> Array:
    """A copy of x in its shape and dtype. pool: not used."""
    return x.copy()
