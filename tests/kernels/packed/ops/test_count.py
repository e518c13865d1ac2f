"""Histograms, extremes and zeros of packed images against NumPy: odd shapes, padded channels, parts, both ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim.kernels.packed import rows
from intsim.kernels.packed.ir import NUMBERS
from intsim.kernels.packed.ops import count
from tests.kernels.packed.run import ISAS, Bytes, buffer, call, guarded, needs_instructions

pytestmark = needs_instructions

SHAPES = (
    (1, 1, 1),
    (3, 5, 7),
    (4, 3, 9),
    (5, 2, 3),
    (16, 4, 4),
    (24, 3, 200),
    (64, 7, 7),
    (250, 2, 19),
    (257, 2, 5),
    (1000, 1, 1),
    (4100, 1, 3),
)


def image(
    channels: int, height: int, width: int, stored: npt.NDArray[Any]
) -> tuple[Bytes, Bytes, Bytes, dict[int, int]]:
    """Bytes in a padded image with other bytes around and in padded channels: real ones, address, all, columns."""
    pixel = 4 if channels <= 4 else -(-channels // 16) * 16
    line = (width + 2) * pixel
    memory, whole = buffer((height + 2) * line)
    memory[:] = 13
    pixels = memory.reshape(height + 2, width + 2, pixel)[1:-1, 1:-1]
    pixels[:, :, :channels] = np.resize(stored, (height, width, channels))
    columns = {count.CHANNELS: channels, count.WIDTH: width, count.LINE: line, count.PIXEL: pixel}
    return pixels[:, :, :channels].copy(), pixels, whole, {**columns, rows.TOTAL: height}


def samples(rng: np.random.Generator) -> list[npt.NDArray[Any]]:
    """Any bytes; half of them zero; one alone; almost none zero."""
    any_byte = rng.integers(0, 256, 4999)
    return [any_byte, np.maximum(any_byte, 128), np.array([255]), np.array([128]), np.r_[np.full(99, 7), 128]]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_histogram(compress: bool, shape: tuple[int, int, int]) -> None:
    if compress and not count.can_compress():
        pytest.skip("this processor has no vpcompressb")
    op = count.make_histogram(int(compress))
    rng = np.random.default_rng(sum(shape))
    for stored in samples(rng):
        real, pixels, whole, columns = image(*shape, stored)
        table = np.arange(256)
        for parts in (1, 3):
            call(op, {**columns, rows.IN: pixels, count.RESULT: table, count.ZERO: 128}, parts)
        np.testing.assert_array_equal(table, np.arange(256) + 2 * np.bincount(real.ravel(), minlength=256))
        assert guarded(whole)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_few(isa: str, shape: tuple[int, int, int]) -> None:
    op = count.make_few(NUMBERS[isa])
    rng = np.random.default_rng(sum(shape))
    for first, codes in ((120, 16), (0, 4), (252, 4), (128, 1)):
        real, pixels, _, columns = image(*shape, rng.integers(first, first + codes, 4999))
        table = np.zeros(256, np.int64)
        given = {count.RESULT: table, count.FIRST: first, count.CODES: codes}
        call(op, {**columns, rows.IN: pixels, **given}, parts=2)
        np.testing.assert_array_equal(table, np.bincount(real.ravel(), minlength=256))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", SHAPES)
def test_extremes(isa: str, shape: tuple[int, int, int]) -> None:
    op = count.make_extremes(NUMBERS[isa])
    rng = np.random.default_rng(sum(shape))
    for stored in (*samples(rng), rng.integers(20, 40, 4999), rng.integers(3, 5, 4999)):
        for zero in (0, 4, 30, 128, 255):
            real, pixels, whole, columns = image(*shape, stored)
            found = np.array(count.NOTHING)
            call(op, {**columns, rows.IN: pixels, count.RESULT: found, count.ZERO: zero}, parts=2)
            assert found.tolist() == [real.min(), real.max(), (real == zero).sum(), (real <= zero).sum()]
            assert guarded(whole)


def test_many_bytes_of_one_value() -> None:
    """More than any narrow counter holds, in one call."""
    stored = np.full(64 * 70000, 9)
    _, pixels, _, columns = image(64, 1, 70000, stored)
    for make in ([count.make_histogram(0)], [count.make_histogram(1)] if count.can_compress() else []):
        for op in make:
            for zero in (9, 10):
                table = np.zeros(256, np.int64)
                call(op, {**columns, rows.IN: pixels, count.RESULT: table, count.ZERO: zero})
                assert table[9] == table.sum() == stored.size
