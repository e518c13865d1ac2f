"""Copies of channels: concatenation and nearest-neighbour resizing against the spec."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.kernels.packed.ops import copy
from intsim.kernels.packed.ops.copy import BYTES, COLUMN_OFFSETS, OUT_LINE, OUT_PIXEL, ROW_OFFSETS, WIDTH
from intsim.kernels.packed.rows import IN, OUT
from tests.kernels.packed.run import Buffer, each_isa, make_row, run

RNG = np.random.default_rng(8)
make = functools.cache(copy.make)


def columns(buffer: Buffer, out: Buffer, rows: npt.NDArray[Any], across: npt.NDArray[Any]) -> dict[int, Any]:
    """The row of a copy of all channels of `buffer`."""
    return {
        IN: buffer.address,
        ROW_OFFSETS: np.ascontiguousarray(rows * buffer.line, np.int64),
        COLUMN_OFFSETS: np.ascontiguousarray(across * buffer.pixel, np.int64),
        BYTES: buffer.shape[0],
        OUT_LINE: out.line,
        OUT_PIXEL: out.pixel,
        WIDTH: len(across),
    }


@each_isa
@pytest.mark.parametrize("channels", [(16, 16), (3, 5, 1), (70, 130), (9, 34, 4)])
@pytest.mark.parametrize("backwards", [False, True])
def test_concat(number: int, channels: tuple[int, ...], backwards: bool) -> None:
    xs = [RNG.integers(-128, 128, (n, 3, 5)) for n in channels]
    expected = spec.concat(*xs, axis=0)
    out = Buffer(expected.shape, (1, 2, 1, 0))
    buffers = [Buffer(x.shape, (0, 1, 1, 1)).fill(x + 128) for x in xs]
    firsts = np.cumsum([0, *channels])
    for i in reversed(range(len(xs))) if backwards else range(len(xs)):
        addressed = columns(buffers[i], out, np.arange(3), np.arange(5))  # keeps the arrays that the row points to
        row = make_row(addressed | {OUT: out.address + int(firsts[i])})
        assert make(copy.width_for(channels[i])).ctypes(row.ctypes.data, 0, 3) == 0
    np.testing.assert_array_equal(out.codes(), expected + 128)


@each_isa
def test_resize_nearest(number: int) -> None:
    x = RNG.integers(-128, 128, (20, 4, 6))
    parameters: dict[str, Any] = {"coordinate_mode": "half_pixel", "nearest_mode": "round_prefer_floor"}
    expected = spec.resize_nearest(x, sizes=(20, 9, 5), **parameters)
    rows = spec.resize_nearest(np.arange(4), sizes=(9,), **parameters)
    across = spec.resize_nearest(np.arange(6), sizes=(5,), **parameters)
    buffer, out = Buffer(x.shape).fill(x + 128), Buffer(expected.shape, (1, 1, 1, 1))
    got = run(make(copy.width_for(20)), columns(buffer, out, rows, across), 9, out)
    np.testing.assert_array_equal(got, expected + 128)


def test_width_for() -> None:
    assert [copy.width_for(n) for n in (1, 3, 17, 64, 1000)] == [1, 2, 16, 64, 64]
