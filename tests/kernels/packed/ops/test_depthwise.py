"""Depthwise convolution against the spec."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.kernels.packed import epilogues
from intsim.kernels.packed.ir import VECTORS
from intsim.kernels.packed.ops import depthwise
from intsim.kernels.packed.ops.depthwise import (
    BLOCKS,
    HEIGHT,
    LINE,
    ORIGIN,
    OUT_LINE,
    OUT_PIXEL,
    PARAMETERS,
    PIXEL,
    STEPS,
    STRIDE_H,
    STRIDE_W,
    TAP_OFFSETS,
    WEIGHTS,
    WIDTH,
)
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, COUNTS, HIGH, IN, LOW, OFFSET
from tests.kernels.packed.run import Buffer, aligned, bits, each_isa, run

Array = npt.NDArray[Any]
RNG = np.random.default_rng(7)

make = functools.cache(depthwise.make)
make_taps = functools.cache(depthwise.make_taps)


class Layer:
    """A depthwise layer with s8 codes: the spec's accumulators, and what the packed op does of them."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        kernel: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilations: tuple[int, int] = (1, 1),
        extreme: bool = False,
    ) -> None:
        self.kernel, self.strides, self.dilations, self.zero = kernel, strides, dilations, 3
        channels = shape[0]
        self.x = RNG.integers(-128, 128, shape)
        self.w = RNG.integers(-128, 128, (channels, *kernel))
        if extreme:
            self.x, self.w = self.x * 0 + RNG.choice([-128, 127], shape), self.w * 0 - 128
        self.bias = RNG.integers(-2000, 2000, channels)
        acc, _ = spec.conv(
            self.x[None],
            self.w[:, None],
            x_zero=self.zero,
            bias=self.bias,
            strides=strides,
            pads=pads,
            dilations=dilations,
            groups=channels,
            accumulator_bits=32,
            overflow="trap",
        )
        self.acc = acc[0]
        self.buffer = Buffer(shape, pads, self.zero + 128).fill(self.x + 128)
        self.pads = pads

    def __call__(
        self,
        isa: int,
        epilogue: str,
        rounding: Array,
        vectors: list[Array],
        columns: dict[int, Any],
        rows: int = 1,
        at_once: int = 1,
        taps: bool = False,
    ) -> Array:
        """The stored bytes, or accumulators."""
        number = epilogues.NUMBERS[epilogue]
        height, width = self.acc.shape[1:]
        out = Buffer(self.acc.shape, (1, 0, 2, 1), dtype=np.int32 if epilogue == "raw" else np.uint8)
        start = self.bias + rounding - (self.zero + 128) * self.w.sum(axis=(1, 2))
        count = int(COUNTS in columns)
        line, pixel, blocks = self.buffer.line, self.buffer.pixel, -(-len(self.w) // VECTORS[isa].lanes)
        columns = {
            IN: self.buffer.address,
            ORIGIN: -self.pads[0] * line - self.pads[1] * pixel,
            LINE: line,
            PIXEL: pixel,
            OUT_LINE: out.line,
            OUT_PIXEL: out.pixel,
            HEIGHT: height,
            WIDTH: width,
            BLOCKS: blocks,
            PARAMETERS: depthwise.pack_parameters([start, *vectors], isa),
            **columns,
        }
        if taps:
            offsets = depthwise.tap_offsets(self.kernel, self.dilations, line, pixel)
            columns |= {
                WEIGHTS: aligned(depthwise.pack_taps(self.w, isa)),
                TAP_OFFSETS: offsets,
                STEPS: len(offsets) // 4,
                STRIDE_H: self.strides[0] * line,
                STRIDE_W: self.strides[1] * pixel,
            }
            return run(make_taps(number, isa, count), columns, height * blocks, out)
        columns[WEIGHTS] = aligned(depthwise.pack_weights(self.w, self.strides[1], at_once, isa))
        op = make(*self.kernel, *self.strides, rows, at_once, number, isa, count)
        return run(op, columns, -(-height // rows) * blocks, out)

    def shifted(self, isa: int, counts: Array | None = None, **how: Any) -> tuple[Array, Array]:
        """The codes by a shift per channel, half_up, and those of the spec; zero point -5, clamped to [-100, 90]."""
        shift = 5 + np.arange(len(self.w)) % 4
        row: dict[int, Any] = {LOW: -95, HIGH: 95, OFFSET: 123}
        if counts is not None:
            row |= {COUNTS: counts, CLIP_LOW: -123, CLIP_HIGH: 132}
        got = self(isa, "shift", 1 << (shift - 1), [shift], row, **how)
        expected = spec.requantize(
            self.acc, shift=shift, rounding="half_up", zero_point=-5, bits=8, signed=True, axis=0
        )
        return got, np.clip(expected, -100, 90) + 128


@each_isa
@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "pads", "rows", "at_once"),
    [
        ((16, 7, 9), (3, 3), (1, 1), (1, 1, 1, 1), 2, 2),
        ((40, 6, 5), (3, 3), (1, 1), (0, 0, 0, 0), 3, 2),
        ((32, 9, 8), (3, 3), (2, 2), (0, 0, 1, 1), 2, 1),
        ((33, 9, 11), (3, 3), (2, 2), (1, 1, 1, 1), 1, 3),
        ((16, 8, 9), (5, 5), (1, 1), (2, 2, 2, 2), 2, 4),
        ((17, 9, 9), (5, 5), (2, 2), (2, 2, 2, 2), 2, 2),
        ((16, 1, 9), (1, 4), (1, 3), (0, 1, 0, 2), 1, 1),
    ],
)
def test_shapes(number: int, shape: Any, kernel: Any, strides: Any, pads: Any, rows: int, at_once: int) -> None:
    layer = Layer(shape, kernel, strides, pads)
    for layout in ({"rows": rows, "at_once": at_once}, {"taps": True}):
        got, expected = layer.shifted(number, **layout)
        np.testing.assert_array_equal(got, expected)


@each_isa
@pytest.mark.parametrize(("dilations", "strides"), [((2, 1), (1, 1)), ((1, 3), (2, 1)), ((2, 2), (1, 2))])
def test_dilations(number: int, dilations: Any, strides: Any) -> None:
    got, expected = Layer((20, 9, 10), (3, 2), strides, (1, 2, 0, 1), dilations).shifted(number, taps=True)
    np.testing.assert_array_equal(got, expected)


@each_isa
@pytest.mark.parametrize("layout", [{"rows": 2, "at_once": 2}, {"taps": True}])
def test_raw(number: int, layout: dict[str, Any]) -> None:
    layer = Layer((24, 5, 7), (3, 3), (1, 1), (1, 1, 1, 1), extreme=True)
    got = layer(number, "raw", np.zeros(24, np.int64), [], {}, **layout)
    np.testing.assert_array_equal(got, layer.acc)


@each_isa
@pytest.mark.parametrize("layout", [{"rows": 2, "at_once": 2}, {"taps": True}])
def test_float32(number: int, layout: dict[str, Any]) -> None:
    layer = Layer((24, 5, 7), (3, 3), (1, 1), (1, 1, 1, 1))
    multiplier = (2.0 ** -(7 + np.arange(24) % 3)).astype(np.float32)  # powers of two: ties
    row = {LOW: bits(-128 - 4), HIGH: bits(127 - 4), OFFSET: 4 + 128}
    got = layer(number, "float32", np.zeros(24, np.int64), [multiplier], row, **layout)
    expected = spec.requantize_float32(layer.acc, multiplier=multiplier, zero_point=4, bits=8, signed=True, axis=0)
    np.testing.assert_array_equal(got, expected + 128)


@each_isa
@pytest.mark.parametrize("layout", [{"rows": 2, "at_once": 2}, {"rows": 1, "at_once": 1}, {"taps": True}])
def test_counts_each_once(number: int, layout: dict[str, Any]) -> None:
    layer = Layer((20, 5, 7), (3, 3), (1, 1), (1, 1, 1, 1))
    counts = np.zeros(2, np.int64)
    got, expected = layer.shifted(number, counts, **layout)
    np.testing.assert_array_equal(got, expected)
    shift = (5 + np.arange(20) % 4)[:, None, None]
    exact = (layer.acc + (1 << (shift - 1))) >> shift
    assert (counts == 3 * np.array([(exact < -123).sum(), (exact > 132).sum()])).all() and counts.all()


@each_isa
def test_saturates_from_far_beyond(number: int) -> None:
    layer = Layer((16, 4, 4), (3, 3), (1, 1), (1, 1, 1, 1), extreme=True)
    row = {LOW: -128, HIGH: 127, OFFSET: 128}
    zeros = np.zeros(16, np.int64)
    got = layer(number, "shift", zeros, [zeros], row, rows=2, at_once=2)
    np.testing.assert_array_equal(got, np.clip(layer.acc, -128, 127) + 128)
    assert abs(layer.acc).max() > 40000


def test_columns_for() -> None:
    assert [depthwise.columns_for(3, 1, 112), depthwise.columns_for(3, 2, 9), depthwise.columns_for(5, 1, 3)] == [
        2,
        2,
        3,
    ]
    assert depthwise.columns_for(3, 2, 1) == 1


@each_isa
def test_mirrored_weights_are_caught(number: int) -> None:
    layer = Layer((16, 5, 6), (3, 3), (1, 1), (1, 1, 1, 1))
    layer.w = layer.w[:, :, ::-1]
    got, expected = layer.shifted(number, rows=2, at_once=2)
    assert (got != expected).any()
