"""Reals to packed bytes against the spec: values next to every tie, denormals, huge ones, odd shapes, parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.kernels.packed import rows
from intsim.kernels.packed.ops import quantize
from tests.kernels.packed.run import bits as float_bits
from tests.kernels.packed.run import buffer, call, guarded, needs_instructions

pytestmark = needs_instructions

Reals = npt.NDArray[np.float32]


def run(
    r: Reals,
    scale: float,
    rounding: str,
    zero_point: int,
    signed: bool,
    bits: int = 8,
    parts: int = 1,
    reciprocal: bool = False,
    most: float = quantize.FINITE,
) -> tuple[npt.NDArray[np.int64], int]:
    """The codes [C, H, W], and how many lines were refused."""
    channels, height, width = r.shape
    size = 1 if bits <= 8 else 2
    offset = 128 * signed if size == 1 else -(1 << 15) if bits == 16 and not signed else 0
    pixel = (4 if channels <= 4 else -(-channels // 16) * 16) * size
    line = width * pixel + 32
    out, whole = buffer(height * line)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    refused = np.zeros(1, np.int64)
    columns: dict[int, Any] = {
        rows.TOTAL: height,
        rows.IN: r,
        rows.OUT: out,
        rows.LOW: float_bits(low - zero_point),
        rows.HIGH: float_bits(high - zero_point),
        rows.OFFSET: zero_point + offset,
        quantize.CHANNELS: channels,
        quantize.PIXEL: pixel,
        quantize.WIDTH: width,
        quantize.PLANE: 4 * height * width,
        quantize.OUT_LINE: line,
        quantize.SCALE: float_bits(1 / scale if reciprocal else scale),
        quantize.MOST: float_bits(most),
        quantize.REFUSED: refused,
    }
    few = channels if channels <= 4 else 0
    op = quantize.make(few, quantize.ROUNDINGS[rounding], int(reciprocal), size=size)
    call(op, columns, parts)
    assert guarded(whole)
    lines = out.reshape(height, line)
    assert (lines[:, width * pixel :] == 0).all()
    stored = lines[:, : width * pixel].reshape(height, width, pixel).view(np.uint8 if size == 1 else np.int16)
    return stored[:, :, :channels].transpose(2, 0, 1).astype(np.int64) - offset, int(refused[0])


def edges(scale: float) -> Reals:
    """float32 values at and next to every integer and tie of 9 bits, those around the limits of 12 and 16 bits, and
    both ends of float32; [1, 1, n]."""
    with np.errstate(over="ignore", under="ignore"):
        quarters = [np.arange(-1100, 1101), *(np.arange(-40, 41) + (4 << bits) for bits in (11, 12, 15, 16))]
        middle = (np.concatenate(quarters) / 4 * scale).astype(np.float32)
        tiny = np.float32(2.0) ** np.arange(-149, -100, dtype=np.float32)
        huge = np.float32(2.0) ** np.arange(1, 128, dtype=np.float32)
        values = np.concatenate([middle, tiny, huge, [np.finfo(np.float32).max, 0.0]]).astype(np.float32)
        values = values[np.isfinite(values)]
        near = np.concatenate([values, np.nextafter(values, np.float32(np.inf)), np.nextafter(values, np.float32(0))])
    near = near[np.isfinite(near)]
    return np.concatenate([near, -near, [np.float32(-0.0)]]).astype(np.float32).reshape(1, 1, -1)


@pytest.mark.parametrize("rounding", ["half_even", "half_up"])
@pytest.mark.parametrize("exponent", [-149, -140, -127, -126, -7, 0, 5, 126, 127])
def test_powers_of_two_are_the_exact_quotient(rounding: str, exponent: int) -> None:
    scale = float(2.0**exponent)
    assert quantize.is_exact(scale, rounding)
    r = edges(scale)
    bytes_ = ((0, True, 8), (-128, True, 8), (127, True, 8), (200, False, 8), (3, True, 4))
    words = ((0, True, 16), (-32768, True, 16), (40000, False, 16), (-7, True, 12), (0, False, 9))
    for zero, signed, bits in (*bytes_, *words):
        wanted = spec.quantize(r, scale=scale, zero_point=zero, rounding=rounding, bits=bits, signed=signed)
        for reciprocal in (False, True)[: 1 + quantize.has_reciprocal(scale)]:
            codes, refused = run(r, scale, rounding, zero, signed, bits, reciprocal=reciprocal)
            np.testing.assert_array_equal(codes, wanted)
            assert refused == 0


def test_reciprocals() -> None:
    assert [quantize.has_reciprocal(2.0**e) for e in (-149, -128, -127, 0, 127)] == [False, False, True, True, True]
    for e in (-127, 0, 127):
        assert np.float32(1 / 2.0**e) * 2.0**e == 1
    assert not quantize.has_reciprocal(0.3)
    assert not quantize.is_exact(0.3, "half_even") and not quantize.is_exact(0.5, "half_down")


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.0235294, 1.0, 2.0**-149, 3e38, 7e-39])
def test_any_scale_is_onnx_runtimes(scale: float) -> None:
    scale = float(np.float32(scale))
    r = np.concatenate([edges(scale), [[[np.inf, -np.inf]]]], axis=2).astype(np.float32)
    bytes_ = ((0, True, 8), (-128, True, 8), (128, False, 8), (3, True, 8))
    for zero, signed, bits in (*bytes_, (-9, True, 16), (32768, False, 16), (50, False, 11)):
        wanted = spec.quantize_float32(r, scale=scale, zero_point=zero, bits=bits, signed=signed)
        codes, refused = run(r, scale, "half_even", zero, signed, bits, most=quantize.ANY)
        np.testing.assert_array_equal(codes, wanted)
        assert refused == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 16, 17, 40])
def test_shapes_and_parts(channels: int) -> None:
    rng = np.random.default_rng(channels)
    for height, width in ((1, 1), (5, 3), (7, 16), (3, 37)):
        r = rng.normal(0, 3, (channels, height, width)).astype(np.float32)
        for scale, rounding in ((0.05, "half_even"), (0.0625, "half_up")):
            quantizer: Any = spec.quantize if rounding == "half_up" else spec.quantize_float32
            more = {"rounding": rounding} if rounding == "half_up" else {}
            for bits, parts in ((8, 1), (8, 3), (16, 1), (16, 3)):
                given = {"scale": float(np.float32(scale)), "zero_point": 9, "bits": bits, "signed": True}
                codes, _ = run(r, scale, rounding, 9, True, bits, parts=parts)
                np.testing.assert_array_equal(codes, quantizer(r[None], **given, **more)[0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_lines_with_what_is_no_input_are_counted(bad: float) -> None:
    for channels in (1, 2, 3, 4, 21):
        for place in range(channels):
            r = np.zeros((channels, 4, 19), np.float32)
            r[place, 1, 18] = r[place, 3, 0] = r[place, 3, 5] = bad
            assert run(r, 0.5, "half_up", 0, True, parts=2)[1] == 2
            assert run(r, 0.5, "half_up", 0, True, most=quantize.ANY)[1] == 2 * math.isnan(bad)
