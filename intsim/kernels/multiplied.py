"""What the requantizers with a multiplier share: their domains, and their loops over rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from intsim.kernels.layout import Array, channel_rows, per_channel
from intsim.kernels.parallel import Sharing
from intsim.kernels.saturate import code_dtype, limits

INT32 = (-(1 << 31), (1 << 31) - 1)
INT48 = (-(1 << 47), (1 << 47) - 1)
WIDEST = 32
"""Bits of the widest codes of a requantizer with a multiplier."""


def int32_sums(acc: Array) -> Array:
    """acc as int32. Raises ValueError, naming the first coordinate, for what does not fit."""
    return within(acc, *INT32, "acc").astype(np.int32, copy=False)


def within(x: Array, low: int, high: int, name: str) -> Array:
    """x itself. Raises ValueError, naming the first coordinate, where an element is outside low to high."""
    info = np.iinfo(x.dtype)
    if x.size and (info.min < low or info.max > high) and (int(x.min()) < low or int(x.max()) > high):
        at = np.argwhere((x < low) | (x > high))[0]
        raise ValueError(f"{name} must be within {low} to {high}, not {int(x[tuple(at)])}{_place(at)}")
    return x


def parameter(values: Any, low: int, high: int, name: str) -> Array:
    """A parameter as int64[channels], of length 1 for a scalar. Raises ValueError outside low to high."""
    return within(per_channel(values), low, high, name)


# Each requantizer repeats the loop over rows around its own arithmetic. One loop that took the arithmetic as an
# argument, or closed over it, would be compiled anew in every process: Numba's cache has no hit for it in a second one
# (measured with Numba 0.68). So `run` shares only what is around the loop.
def run(
    loop: Callable[..., None],
    acc: Array,
    parameters: tuple[Array, ...],
    *,
    bits: int,
    signed: bool,
    narrow: bool,
    axis: int,
    pool: Sharing,
    refused: str = "",
) -> Array:
    """The codes, in the smallest dtype of `bits` bits and acc's shape: loop(rows, *parameters, low, high, out, ...).

    The loop takes acc as [rows, inner] and each parameter as [channels]; row r has the parameters r % channels. With
    `refused`, it also gets int64[rows] for the first element of each row that is outside its domain, the row's length
    for none; what is refused is named by that text in the ValueError. Raises ValueError for more than 32 bits too.
    """
    if bits > WIDEST:
        raise ValueError(f"requantizers with a multiplier give at most {WIDEST} bits, not {bits!r}")
    low, high = limits(bits, signed, narrow)
    rows, parameters_of_channels = channel_rows(acc, axis, *parameters)
    out = np.empty(rows.shape, code_dtype(bits, signed))
    outside = [np.empty(len(rows), np.int64)] if refused else []
    pool(
        lambda start, stop: loop(rows, *parameters_of_channels, low, high, out, *outside, start, stop),
        len(rows),
    )
    for flags in outside:
        bad = np.flatnonzero(flags < rows.shape[1])
        if len(bad):
            at = np.unravel_index(bad[0] * rows.shape[1] + flags[bad[0]], acc.shape)
            raise ValueError(f"{refused}, not so for {int(acc[at])}{_place(at)}")
    return out.reshape(acc.shape)


def _place(at: Any) -> str:
    return f" at {tuple(int(i) for i in at)}" if len(at) else ""
