"""Digests of recorded codes: so that many images can be checked against a small file."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

BLOCK = 32
"""Images in a block, which has one digest."""


def block_digests(codes: np.ndarray[Any, Any], images: int) -> list[str]:
    """The sha256, in hex, of each whole block of images: of the codes as C-ordered, little-endian bytes.

    codes: integers [rows, …] of `images` images; an image has the same number of rows everywhere.
    """
    rows = len(codes) // images * BLOCK
    stored = np.ascontiguousarray(codes, codes.dtype.newbyteorder("<"))
    return [
        hashlib.sha256(stored[first : first + rows].tobytes()).hexdigest()
        for first in range(0, len(stored) - rows + 1, rows)
    ]
