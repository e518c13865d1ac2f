"""Into packed buffers and out of them: every code, odd shapes, padded images, parts, and nothing else written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.kernels.packed import rows
from intsim.kernels.packed.ops import transfer
from tests.kernels.packed.run import buffer, call, guarded, needs_instructions

pytestmark = needs_instructions

SIZES = ((1, 1), (1, 7), (3, 5), (4, 4), (2, 17), (9, 16), (5, 33))
CHANNELS = (1, 2, 3, 4, 5, 15, 16, 17, 33, 48)
OFFSETS: dict[Any, int] = {np.int8: 128, np.uint8: 0, np.int16: 0, np.uint16: -(1 << 15)}
"""What is added to codes of each dtype."""


def columns(channels: int, height: int, width: int, pad: int, size: int) -> tuple[int, int, dict[int, Any]]:
    """Bytes of a packed pixel, of a line, and the columns that tell the shape."""
    pixel = (4 if channels <= 4 else -(-channels // 16) * 16) * size
    line = (width + 2 * pad) * pixel
    shape = {transfer.CHANNELS: channels, transfer.HEIGHT: height, transfer.WIDTH: width}
    return pixel, line, {**shape, transfer.PIXEL: pixel, transfer.LINE: line, rows.TOTAL: height}


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", OFFSETS)
def test_enter(channels: int, dtype: Any) -> None:
    rng = np.random.default_rng(channels)
    info, offset = np.iinfo(dtype), OFFSETS[dtype]
    size, stored = info.bits // 8, np.uint8 if info.bits == 8 else np.int16
    for height, width in SIZES:
        codes = rng.integers(info.min, info.max, (channels, height, width), endpoint=True).astype(dtype)
        for pad, parts in ((0, 1), (1, 1), (2, 3)):
            pixel, line, shape = columns(channels, height, width, pad, size)
            out, whole = buffer((height + 2 * pad) * line)
            out[:] = 99
            image = out.reshape(height + 2 * pad, width + 2 * pad, pixel).view(stored)
            inner = image[pad : pad + height, pad : pad + width]
            call(
                transfer.make_enter(size),
                {**shape, rows.IN: codes, rows.OUT: inner, rows.OFFSET: offset},
                parts,
            )
            wanted = codes.transpose(1, 2, 0).astype(np.int64) + offset
            np.testing.assert_array_equal(inner[:, :, :channels], wanted)
            assert guarded(whole)
            inner.view(np.uint8)[:] = 99
            assert (image.view(np.uint8) == 99).all(), "only the image's own pixels are written"


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("dtype", [*OFFSETS, np.int32])
def test_leave(channels: int, dtype: Any) -> None:
    rng = np.random.default_rng(channels)
    size, offset = np.dtype(dtype).itemsize, OFFSETS.get(dtype, 0)
    stored = {1: np.uint8, 2: np.int16, 4: np.int32}[size]
    for height, width in SIZES:
        for pad, parts in ((0, 1), (1, 1), (2, 3)):
            _, line, shape = columns(channels, height, width, pad, size)
            raw, _ = buffer((height + 2 * pad) * line)
            raw[:] = rng.integers(0, 256, raw.size)
            image = raw.view(stored).reshape(height + 2 * pad, width + 2 * pad, -1)
            inner = image[pad : pad + height, pad : pad + width]
            out, whole = buffer(channels * height * width * size)
            call(transfer.make_leave(size), {**shape, rows.IN: inner, rows.OUT: out, rows.OFFSET: offset}, parts)
            codes = out.view(dtype).reshape(channels, height, width)
            np.testing.assert_array_equal(codes, inner[:, :, :channels].transpose(2, 0, 1).astype(np.int64) - offset)
            assert guarded(whole)


def test_every_code_comes_back() -> None:
    codes = np.arange(-128, 128, dtype=np.int8).reshape(1, 4, 64)
    _, line, shape = columns(1, 4, 64, 0, 1)
    packed, _ = buffer(4 * line)
    back = np.zeros_like(codes)
    call(transfer.make_enter(), {**shape, rows.IN: codes, rows.OUT: packed, rows.OFFSET: 128})
    call(transfer.make_leave(1), {**shape, rows.IN: packed, rows.OUT: back, rows.OFFSET: 128})
    np.testing.assert_array_equal(back, codes)
    assert sorted(packed.reshape(-1, 4)[:, 0].tolist()) == list(range(256))
