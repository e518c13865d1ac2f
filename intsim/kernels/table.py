"""A function of one code, looked up."""

from __future__ import annotations

from typing import Any

import numpy as np

from intsim.kernels._jit import kernel
from intsim.kernels.layout import Array, channel_rows, contiguous
from intsim.kernels.parallel import Sharing, run_all


def table(x: Array, *, table: Array, low: int, axis: int = 1, pool: Sharing = run_all) -> Array:
    """The entries table[x - low], in x's shape and the table's dtype; with a table per channel, table[c, x - low].

    x: integer codes, low the lowest. table: [codes], or [channels, codes] where c is the index on axis.
    Raises ValueError for a code outside the table.
    """
    tables = contiguous(np.atleast_2d(table))
    if x.size and not (low <= int(x.min()) and int(x.max()) < low + tables.shape[1]):
        raise ValueError(f"codes must be within {low} to {low + tables.shape[1] - 1}: {x.min()} to {x.max()} are not")
    rows, _ = channel_rows(x, axis, np.arange(len(tables)))
    out = np.empty(rows.shape, tables.dtype)
    pool(lambda start, stop: _rows(rows, tables, low, out, start, stop), len(rows))
    return out.reshape(x.shape)


@kernel
def _rows(x: Any, tables: Any, low: Any, out: Any, start: Any, stop: Any) -> None:
    for row in range(start, stop):
        entries = tables[row % tables.shape[0]]
        for i in range(x.shape[1]):
            out[row, i] = entries[np.int64(x[row, i]) - low]
