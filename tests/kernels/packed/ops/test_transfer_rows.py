"""Matrices into packed buffers and out: every code, odd shapes, padded lines, parts, and nothing else written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.kernels.packed import rows
from intsim.kernels.packed.ops import quantize, transfer, transfer_rows
from tests.kernels.packed.run import bits, buffer, call, guarded, needs_instructions

pytestmark = needs_instructions

SIZES = ((1, 1), (1, 7), (3, 5))
CHANNELS = (1, 3, 4, 15, 16, 17, 33, 130)


def columns(channels: int, height: int, width: int, pad: int, size: int) -> tuple[int, dict[int, Any]]:
    """Bytes of a packed line, and the columns that tell the shape."""
    pixel = -(-channels // 16) * 16 * size
    line = (width + 2 * pad) * pixel
    shape = {transfer.CHANNELS: channels, transfer.WIDTH: width, transfer.PIXEL: pixel, transfer.LINE: line}
    return line, {**shape, transfer.HEIGHT: height, rows.TOTAL: height * width}


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint16])
def test_enter(channels: int, dtype: Any) -> None:
    random = np.random.default_rng(channels)
    size = np.dtype(dtype).itemsize
    stored, offset = (np.uint8, 128 * (dtype is np.int8)) if size == 1 else (np.int16, -(1 << 15))
    for height, width in SIZES:
        codes = random.integers(0, 256, (height, width, channels * size)).astype(np.uint8).view(dtype)
        for pad, parts in ((0, 1), (2, 3)):
            line, shape = columns(channels, height, width, pad, size)
            out, whole = buffer((height + 2 * pad) * line)
            image = out.view(stored).reshape(height + 2 * pad, width + 2 * pad, -1)
            image[:] = 99
            inner = image[pad : pad + height, pad : pad + width]
            row = {**shape, rows.IN: codes, rows.OUT: inner, rows.OFFSET: offset}
            call(transfer_rows.make_enter(size), row, parts)
            np.testing.assert_array_equal(inner[:, :, :channels], codes.astype(np.int64) + offset)
            assert guarded(whole)
            inner[:, :, :channels] = 99
            assert (image == 99).all(), "only the codes are written"


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint16, np.int32])
def test_leave(channels: int, dtype: Any) -> None:
    random = np.random.default_rng(channels)
    size = np.dtype(dtype).itemsize
    stored = {1: np.uint8, 2: np.int16, 4: np.int32}[size]
    offset = {np.int8: 128, np.uint16: -(1 << 15)}.get(dtype, 0)
    for height, width in SIZES:
        for pad, parts in ((0, 1), (2, 3)):
            line, shape = columns(channels, height, width, pad, size)
            raw, _ = buffer((height + 2 * pad) * line)
            raw[:] = random.integers(0, 256, raw.size)
            image = raw.view(stored).reshape(height + 2 * pad, width + 2 * pad, -1)
            inner = image[pad : pad + height, pad : pad + width]
            out, whole = buffer(channels * height * width * size)
            row = {**shape, rows.IN: inner, rows.OUT: out, rows.OFFSET: offset}
            call(transfer_rows.make_leave(size), row, parts)
            codes = out.view(dtype).reshape(height, width, channels)
            np.testing.assert_array_equal(codes, inner[:, :, :channels].astype(np.int64) - offset)
            assert guarded(whole)


@pytest.mark.parametrize("rounding", quantize.ROUNDINGS)
@pytest.mark.parametrize("reciprocal", [0, 1])
@pytest.mark.parametrize("bits_of_code", [8, 16])
def test_quantize(rounding: str, reciprocal: int, bits_of_code: int) -> None:
    """Ties, both ends, what is clipped, and rows with what no format takes."""
    size, half = bits_of_code // 8, 1 << (bits_of_code - 1)
    scale, zero = 0.25 if size == 1 else 2.0**-10, -3
    stored, offset = (np.uint8, 128) if size == 1 else (np.int16, 0)
    x = np.random.default_rng(1).normal(0, 20, (3, 5, 33)).astype(np.float32)
    x[0, 0, :6] = scale / 2, 1.5 * scale, -scale / 2, -1.5 * scale, 1e30, -1e30
    line, shape = columns(33, 3, 5, 0, size)
    out, whole = buffer(3 * line)
    counts, refused = np.zeros(2, np.int64), np.zeros(1, np.int64)
    row = {
        **shape,
        rows.IN: x,
        rows.OUT: out,
        rows.LOW: bits(-half - zero),
        rows.HIGH: bits(half - 1 - zero),
        rows.OFFSET: zero + offset,
        rows.COUNTS: counts,
        quantize.SCALE: bits(1 / scale if reciprocal else scale),
        quantize.MOST: bits(quantize.FINITE),
        quantize.REFUSED: refused,
    }
    call(transfer_rows.make_quantize(quantize.ROUNDINGS[rounding], reciprocal, 1, size), row, 3)
    expected = spec.quantize(x, scale=scale, zero_point=zero, bits=bits_of_code, signed=True, rounding=rounding)
    got = out.view(stored).reshape(3, 5, -1)[:, :, :33]
    np.testing.assert_array_equal(got, expected.astype(np.int64) + offset)
    exact = x.astype(np.float64) / scale
    nearest = np.rint(exact) if rounding == "half_even" else np.floor(exact + 0.5)
    assert counts.tolist() == [(nearest < -half - zero).sum(), (nearest > half - 1 - zero).sum()] and not refused[0]
    assert guarded(whole)
    x[1, 2, 3], x[1, 2, 4], x[2, 0, 0] = np.nan, np.inf, -np.inf
    call(transfer_rows.make_quantize(quantize.ROUNDINGS[rounding], reciprocal, 0, size), row)
    assert refused[0] == 2, "one for each row"
