"""Addition, subtraction and multiplication of two packed operands against the spec, on all pairs of codes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.kernels.packed import epilogues
from intsim.kernels.packed.ops import add, add_float32, mul, mul_float32, pairs
from intsim.kernels.packed.ops.pairs import (
    FACTOR_A,
    FACTOR_B,
    LINE,
    LINE2,
    MASK,
    OUT_LINE,
    OUT_STEP,
    RUN,
    RUNS,
    SCALARS,
    START,
    STEP,
    STEP2,
    ZERO_A,
    ZERO_B,
)
from intsim.kernels.packed.rows import CLIP_HIGH, CLIP_LOW, COUNTS, HIGH, IN, IN2, LOW, OFFSET, OUT
from intsim.kernels.rounding import RULES, shift_terms
from intsim.spec.fma import fma
from tests.kernels.packed.run import Buffer, bits, each_isa, make_row, run

Array = npt.NDArray[Any]
CODES = np.arange(-128, 128)
ALL_A, ALL_B = (
    np.ascontiguousarray(np.broadcast_to(x, (256, 256)).reshape(16, 16, 256)) for x in (CODES, CODES[:, None])
)

makers = {
    "pairs": functools.cache(pairs.make),
    "add": functools.cache(add.make),
    "mul": functools.cache(mul.make),
    "add_float32": functools.cache(add_float32.make),
    "mul_float32": functools.cache(mul_float32.make),
}


def pair(op: Any, a: Array, b: Array, row: dict[int, Any], count: bool = False) -> Array:
    """The stored bytes of an op on codes a and b, int[C, H, W]; b may have one pixel."""
    out = Buffer(a.shape, (1, 1, 0, 2))
    left = Buffer(a.shape, (0, 1, 1, 0)).fill(a + 128, 1)
    right = Buffer(b.shape, (1, 0, 0, 0)).fill(b + 128, 2)
    whole = a.shape == b.shape
    runs, run_bytes = (1, a.shape[2] * left.pixel) if whole else (a.shape[2], left.pixel)
    if count:
        mask = np.zeros((a.shape[2] + 64, out.channels), np.uint8)
        mask[: a.shape[2], : a.shape[0]] = 255
        row = {**row, MASK: mask}
    columns = {
        IN: left.address,
        IN2: right.address,
        LINE: left.line,
        LINE2: right.line if whole else 0,
        OUT_LINE: out.line,
        RUNS: runs,
        RUN: run_bytes,
        STEP: left.pixel,
        STEP2: 0,
        OUT_STEP: out.pixel,
        **row,
    }
    return run(op, columns, a.shape[1], out)


@each_isa
@pytest.mark.parametrize("rounding", RULES)
@pytest.mark.parametrize("subtract", [0, 1])
def test_add(number: int, rounding: str, subtract: int) -> None:
    shifts, zeros, shift, zero = (0, 2), (-7, 100), 3, 9
    always, negative, odd = shift_terms(rounding, shift)
    row = {FACTOR_A: shifts[0], FACTOR_B: shifts[1], LOW: -128 - zero, HIGH: 120 - zero, OFFSET: zero + 128}
    stored = (zeros[0] + 128, zeros[1] + 128)
    row |= {START: add.start(shifts, stored, bool(subtract), always), SCALARS: shift}
    row |= {SCALARS + 1: always, SCALARS + 2: negative, SCALARS + 3: odd}
    epilogue = "ties" if negative or odd else "shift"
    assert add.fits(shifts, stored, bool(subtract), always, negative, odd)
    op = makers["add"](subtract, epilogues.NUMBERS[epilogue], number, 0, 4)
    parameters: dict[str, Any] = {"a_shift": 0, "b_shift": 2, "a_zero": -7, "b_zero": 100, "zero_point": zero}
    parameters |= {"shift": shift, "rounding": rounding, "bits": 8, "signed": True}
    expected = (spec.sub if subtract else spec.add)(ALL_A, ALL_B, **parameters)
    np.testing.assert_array_equal(pair(op, ALL_A, ALL_B, row), np.minimum(expected, 120) + 128)


@each_isa
@pytest.mark.parametrize("shape", [(3, 2, 5), (16, 1, 1), (20, 3, 7), (33, 2, 9)])
@pytest.mark.parametrize("vectors", [1, 4])
def test_add_shapes_and_counts(number: int, shape: tuple[int, int, int], vectors: int) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.integers(-128, 128, shape), rng.integers(-128, 128, shape)
    counts = np.zeros(2, np.int64)
    row = {LOW: -128, HIGH: 127, OFFSET: 128, START: -256, COUNTS: counts, CLIP_LOW: -100, CLIP_HIGH: 90}
    op = makers["add"](0, epilogues.NUMBERS["shift"], number, 1, vectors)
    np.testing.assert_array_equal(pair(op, a, b, row, count=True), np.clip(a + b, -128, 127) + 128)
    assert (counts == 3 * np.array([(a + b < -100).sum(), (a + b > 90).sum()])).all()


def test_add_fits() -> None:
    assert add.fits((0, 22), (0, 0), False, 0) and not add.fits((0, 24), (0, 0), False, 0)
    assert add.fits((0, 23), (0, 128), True, 0) and not add.fits((0, 23), (0, 255), True, (1 << 30) + (1 << 28))
    assert not add.fits((32, 0), (0, 0), False, 0)
    for subtract in (False, True):
        for shifts, zeros, always in (((23, 21), (128, 3), 5), ((20, 23), (9, 128), 1 << 22)):
            signed = -1 if subtract else 1
            sums = [
                ((a - zeros[0]) << shifts[0]) + signed * ((b - zeros[1]) << shifts[1]) + term
                for a in (0, 255)
                for b in (0, 255)
                for term in (0, always)
            ]
            exact = min(sums) >= -(1 << 31) and max(sums) < 1 << 31
            assert add.fits(shifts, zeros, subtract, always) == exact


@each_isa
@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
def test_mul(number: int, rounding: str) -> None:
    always, negative, odd = shift_terms(rounding, 7)
    row = {ZERO_A: 128 + 3, ZERO_B: 128 - 50, START: always, LOW: -128 - 5, HIGH: 127 - 5, OFFSET: 128 + 5}
    row |= {SCALARS: 7, SCALARS + 1: always, SCALARS + 2: negative, SCALARS + 3: odd}
    assert mul.fits(always, negative, odd)
    op = makers["mul"](epilogues.NUMBERS["ties" if odd else "shift"], number, 0, 4)
    parameters: dict[str, Any] = {"a_zero": 3, "b_zero": -50, "zero_point": 5, "shift": 7, "rounding": rounding}
    expected = spec.mul(ALL_A, ALL_B, **parameters, bits=8, signed=True)
    np.testing.assert_array_equal(pair(op, ALL_A, ALL_B, row), expected + 128)


@each_isa
@pytest.mark.parametrize(("a_ratio", "b_ratio", "zero"), [(0.5, 0.25, 3), (0.7123, 1.318, -20), (40.0, 0.001, 0)])
def test_add_float32(number: int, a_ratio: float, b_ratio: float, zero: int) -> None:
    ratio, other = np.float32(a_ratio), np.float32(b_ratio)
    start = np.float32(zero) - fma(np.asarray(ratio), np.asarray(np.float32(11)), np.asarray(other * np.float32(-90)))
    assert add_float32.fits(float(ratio), float(other), float(start))
    row = {
        ZERO_A: 128,
        ZERO_B: 128,
        FACTOR_A: bits(float(ratio)),
        FACTOR_B: bits(float(other)),
        START: bits(float(start)),
    }
    row |= {LOW: bits(-10.0), HIGH: bits(127.0), OFFSET: 128}
    expected = spec.add_float32(
        ALL_A, ALL_B, a_ratio=ratio, b_ratio=other, a_zero=11, b_zero=-90, zero_point=zero, bits=8, signed=True
    )
    got = pair(makers["add_float32"](number, 0, 4), ALL_A, ALL_B, row)
    np.testing.assert_array_equal(got, np.maximum(expected, -10) + 128)


@each_isa
@pytest.mark.parametrize(("value", "zero"), [(0.0078125, 5), (0.00314159, -20), (1.0, 0)])
def test_mul_float32(number: int, value: float, zero: int) -> None:
    ratio = np.float32(value)
    assert mul_float32.fits(float(ratio), zero)
    row = {ZERO_A: 128 + 3, ZERO_B: 128 - 50, FACTOR_A: bits(float(ratio)), START: bits(zero)}
    row |= {LOW: bits(-128.0), HIGH: bits(127.0), OFFSET: 128}
    parameters: dict[str, Any] = {"ratio": ratio, "a_zero": 3, "b_zero": -50, "zero_point": zero}
    expected = spec.mul_float32(ALL_A, ALL_B, **parameters, bits=8, signed=True)
    np.testing.assert_array_equal(pair(makers["mul_float32"](number, 0, 4), ALL_A, ALL_B, row), expected + 128)


@each_isa
@pytest.mark.parametrize(("channels", "vectors"), [(40, 1), (64, 4), (3, 1)])
def test_mul_float32_of_one_pixel(number: int, channels: int, vectors: int) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.integers(-128, 128, (channels, 3, 5)), rng.integers(-128, 128, (channels, 1, 1))
    counts = np.zeros(2, np.int64)
    row = {ZERO_A: 128, ZERO_B: 128, FACTOR_A: bits(1 / 64), START: bits(0.0), COUNTS: counts}
    row |= {LOW: bits(-128.0), HIGH: bits(127.0), OFFSET: 128, CLIP_LOW: bits(-100.0), CLIP_HIGH: bits(90.0)}
    got = pair(makers["mul_float32"](number, 1, vectors), a, b, row, count=True)
    expected = spec.mul_float32(a, b, ratio=np.float32(1 / 64), bits=8, signed=True)
    np.testing.assert_array_equal(got, expected + 128)
    exact = np.rint(a * b / 64)
    assert (counts == 3 * np.array([(exact < -100).sum(), (exact > 90).sum()])).all() and counts.all()


@each_isa
def test_add_in_place(number: int) -> None:
    a, b = np.random.default_rng(5).integers(-128, 128, (2, 20, 3, 7))
    left, right = Buffer(a.shape).fill(a + 128), Buffer(a.shape).fill(b + 128)
    line = 7 * left.pixel
    columns = {IN: left.address, IN2: right.address, OUT: left.address, LINE: line, LINE2: line, OUT_LINE: line}
    row = make_row(columns | {RUNS: 1, RUN: line, START: -256, LOW: -128, HIGH: 127, OFFSET: 128})
    op = makers["add"](0, epilogues.NUMBERS["shift"], number, 0, 4)
    assert op.ctypes(row.ctypes.data, 0, 3) == 0
    np.testing.assert_array_equal(left.codes(), np.clip(a + b, -128, 127) + 128)
