"""Means of windows and of whole images against the spec."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.kernels.packed import epilogues
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.ops import average_pool
from intsim.kernels.packed.ops.average_pool import (
    BLOCKS,
    CHANNELS,
    CLASSES,
    COLUMN_FIRST,
    COLUMN_TAPS,
    FLOAT32,
    MASK,
    OUT_LINE,
    OUT_PIXEL,
    QUOTIENT,
    ROW_FIRST,
    ROW_TAPS,
    TAP_LINE,
    TAP_PIXEL,
    THROUGH,
    WIDTH,
    WORDS,
)
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, COUNTS, HIGH, IN, LOW, OFFSET
from intsim.kernels.packed.windows import taps_inside
from intsim.kernels.rounding import RULES, divide
from intsim.spec.windows import windows
from tests.kernels.packed.run import Buffer, bits, each_isa, run

Array = npt.NDArray[Any]
RNG = np.random.default_rng(6)
make = functools.cache(average_pool.make)
GEOMETRIES: list[tuple[Any, dict[str, Any]]] = [
    ((40, 7, 8), {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1)}),
    ((3, 6, 7), {"kernel": (2, 3), "strides": (2, 2), "pads": (0, 1, 1, 0), "dilations": (2, 1), "ceil_mode": True}),
    ((64, 7, 7), {"kernel": (7, 7), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}),
]


class Pool:
    """A pooling of signed codes with zero point 3: the windows, and what the packed op makes of them."""

    zero = 3

    def __init__(self, shape: tuple[int, int, int], geometry: dict[str, Any]) -> None:
        self.x = RNG.integers(-128, 128, shape)
        self.geometry, self.shape = geometry, shape
        names = ("kernel", "strides", "dilations", "pads")
        kernel, strides, dilations, pads = (geometry[name] for name in names)
        self.layout = windows(shape[1:], kernel, strides, dilations, pads, geometry.get("ceil_mode", False))
        self.inside = self.layout.counts(False)

    def __call__(
        self, isa: int, mean: int, words: Array, classes: Array | None, row: dict[int, Any], count: bool = False
    ) -> Array:
        """The stored bytes. words: int64[classes, n]; classes: the index for each output pixel."""
        height, width = self.layout.output
        out = Buffer((self.shape[0], height, width), (1, 0, 0, 1))
        buffer = Buffer(self.shape, (0, 1, 2, 0)).fill(self.x + 128)
        sizes = buffer.line, buffer.pixel
        first, taps = zip(*(self.axis(axis, sizes[axis]) for axis in (0, 1)), strict=True)
        vectors = 4 if out.channels >= 4 * VECTORS[isa].lanes else 1
        block = vectors * VECTORS[isa].lanes
        blocks = -(-out.channels // block)
        mask = np.zeros(blocks * block + 64, np.uint8)
        mask[: self.shape[0]] = 255
        words = np.ascontiguousarray(words, np.int64)
        places = 0 if classes is None else np.ascontiguousarray(classes * words.strides[0], np.int64)
        columns: dict[int, Any] = {
            IN: buffer.address,
            ROW_FIRST: first[0],
            ROW_TAPS: taps[0],
            COLUMN_FIRST: first[1],
            COLUMN_TAPS: taps[1],
            TAP_LINE: self.geometry["dilations"][0] * buffer.line,
            TAP_PIXEL: self.geometry["dilations"][1] * buffer.pixel,
            OUT_LINE: out.line,
            OUT_PIXEL: out.pixel,
            WIDTH: width,
            CHANNELS: out.channels,
            BLOCKS: blocks,
            WORDS: words,
            CLASSES: places,
            MASK: mask,
            **row,
        }
        return run(make(mean, vectors, isa, int(count)), columns, height * blocks, out)

    def axis(self, axis: int, size: int) -> tuple[Array, Array]:
        """Bytes to the first tap inside of each window, and how many are inside."""
        stride, before, dilation = self.layout.strides[axis], self.layout.before[axis], self.layout.dilations[axis]
        length, output = self.layout.image[axis], self.layout.output[axis]
        first, taps = taps_inside(length, output, self.layout.kernel[axis], stride, dilation, before)
        return (np.arange(output) * stride - before + first * dilation) * size, np.ascontiguousarray(taps)

    def classes(self, counts: Array) -> tuple[list[tuple[int, int]], Array]:
        """The distinct (elements inside, count) of the windows, and the number of each output pixel's."""
        both = np.stack([self.inside, counts], -1).reshape(-1, 2)
        distinct, index = np.unique(both, axis=0, return_inverse=True)
        return [(int(n), int(c)) for n, c in distinct], index.reshape(self.inside.shape)


@each_isa
@pytest.mark.parametrize("rounding", RULES)
@pytest.mark.parametrize("include_pad", [False, True])
def test_average_pool(number: int, rounding: str, include_pad: bool) -> None:
    for (shape, geometry), shift in zip(GEOMETRIES, (0, -1, 2), strict=True):
        pool = Pool(shape, geometry)
        distinct, index = pool.classes(pool.layout.counts(include_pad))
        words = [average_pool.quotient(n, c, shift, rounding, pool.zero + 128) for n, c in distinct]
        row = {LOW: -128 + 9, HIGH: 127 + 9, OFFSET: 128 - 9}
        expected = spec.average_pool(
            pool.x[None],
            **geometry,
            count_include_pad=include_pad,
            x_zero=3,
            shift=shift,
            rounding=rounding,
            zero_point=-9,
            bits=8,
            signed=True,
        )[0]
        got = pool(number, QUOTIENT, np.array(words), index, row)
        np.testing.assert_array_equal(got, expected + 128)


@each_isa
@pytest.mark.parametrize("include_pad", [False, True])
def test_average_pool_float32(number: int, include_pad: bool) -> None:
    x_scale, scale = np.float32(0.0371), np.float32(0.0253)
    for shape, geometry in GEOMETRIES:
        pool = Pool(shape, geometry)
        counts = np.full_like(pool.inside, np.prod(pool.layout.kernel)) if include_pad else pool.inside
        distinct, index = pool.classes(counts)
        assert average_pool.fits_float32(49, float(x_scale), float(scale))
        words = [average_pool.float32_words(131, x_scale, c, scale, -9) for _, c in distinct]
        row = {LOW: bits(-128.0), HIGH: bits(127.0), OFFSET: 128}
        expected = spec.average_pool_float32(
            pool.x[None],
            **geometry,
            count_include_pad=include_pad,
            x_zero=3,
            x_scale=x_scale,
            scale=scale,
            zero_point=-9,
            bits=8,
            signed=True,
        )[0]
        np.testing.assert_array_equal(pool(number, FLOAT32, np.array(words), index, row), expected + 128)


@each_isa
@pytest.mark.parametrize("channels", [20, 64, 72])
def test_global_means_and_counts(number: int, channels: int) -> None:
    geometry = {"kernel": (5, 8), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    pool = Pool((channels, 5, 8), geometry)
    x_scale, scale = np.float32(0.91), np.float32(0.0437)
    m = x_scale / (scale * np.float32(40))
    counts = np.zeros(2, np.int64)
    row: dict[int, Any] = {LOW: bits(-128.0 - 7), HIGH: bits(127.0 - 7), OFFSET: 128 + 7}
    row |= {COUNTS: counts, CLIP_LOW: bits(-128.0 - 7), CLIP_HIGH: bits(127.0 - 7)}
    assert average_pool.fits_sum(40) and not average_pool.fits_sum(1 << 23)
    words = np.array([[-40 * 131, bits(float(m))]])
    got = pool(number, THROUGH + epilogues.NUMBERS["float32"], words, None, row, count=True)
    parameters: dict[str, Any] = {"axes": (1, 2), "keepdims": True, "x_zero": 3, "zero_point": 7}
    expected = spec.reduce_mean_float32(pool.x, **parameters, x_scale=x_scale, scale=scale, bits=8, signed=True)
    np.testing.assert_array_equal(got, expected + 128)
    exact = np.rint((pool.x - 3).sum((1, 2)).astype(np.float32) * m)
    assert (counts == 3 * np.array([(exact < -135).sum(), (exact > 120).sum()])).all() and counts.all()


@each_isa
def test_shift_through_the_sum(number: int) -> None:
    geometry: dict[str, Any] = {"kernel": (4, 2), "strides": (4, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
    pool = Pool((16, 8, 8), geometry)
    words = np.array([[-8 * 131 + 4, 3]])
    got = pool(number, THROUGH + epilogues.NUMBERS["shift"], words, None, {LOW: -128, HIGH: 127, OFFSET: 128})
    parameters: dict[str, Any] = {"x_zero": 3, "shift": 0, "rounding": "half_up", "bits": 8, "signed": True}
    np.testing.assert_array_equal(got, spec.average_pool(pool.x[None], **geometry, **parameters)[0] + 128)


@pytest.mark.parametrize("rounding", RULES)
def test_quotient_is_exact(rounding: str) -> None:
    for inside, divisor, shift, zero in (
        (9, 9, 0, 128),
        (49, 49, 0, 0),
        (6, 9, 2, 255),
        (64, 64, -2, 3),
        (3, 5, -3, 131),
    ):
        words = average_pool.quotient(inside, divisor, shift, rounding, zero)
        assert words is not None
        start, up, always, negative, whole, even, back, multiplier, right = words
        for total in range(255 * inside + 1):
            number = ((total + start) << up) + always + (negative if total + start < 0 else 0)
            assert 0 <= number < 1 << 31 and number * multiplier < 1 << 63
            floor = (number * multiplier) >> right
            result = floor - (floor & even if floor * whole == number else 0) - back
            n, d = (total + start) << max(-shift, 0), divisor << max(shift, 0)
            assert result == divide(n, d, RULES[rounding])


def test_quotient_needs_31_bits() -> None:
    assert average_pool.quotient(49, 49, 0, "half_up", 128) is not None
    assert average_pool.quotient(1 << 23, 1 << 23, 0, "half_up", 128) is None
    assert average_pool.quotient(4, 4, -20, "half_up", 128) is not None
    assert average_pool.quotient(4, 4, -21, "half_up", 128) is None
    assert average_pool.quotient(4, 4, 28, "half_up", 128) is None
