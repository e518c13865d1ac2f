"""Tiles in vector registers against what they compute in NumPy, and which lanes make an accumulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

from intsim.kernels import lanes
from intsim.kernels._jit import kernel
from intsim.kernels.lanes import (
    EXACT,
    FULL,
    PLAIN,
    REGISTER,
    SATURATING,
    SATURATING_WIDTHS,
    SLACK,
    SUMMING_WIDTHS,
    saturating_lanes,
    saturating_tile,
    summing_tile,
    with_slack,
)
from intsim.kernels.saturate import limits
from tests.mutants import plant

Array = np.ndarray[Any, Any]
TERMS = 70


@kernel
def compiled_saturating_tile(arguments: Any) -> None:
    saturating_tile(*arguments)


@kernel
def compiled_summing_tile(arguments: Any) -> None:
    summing_tile(*arguments)


def run_both(compiled: Callable[[Any], None], plain: Callable[..., None], written: int, *arguments: Any) -> list[Array]:
    """What both write into their first `written` arguments; it must be the same but for how flags are set."""
    results = []
    for function in (compiled, lambda given: plain(*given)):
        outputs = [a.copy() for a in arguments[:written]]
        function((*outputs, *arguments[written:]))
        results.append(outputs)
    assert np.array_equal(results[0][0], results[1][0])
    for got, expected in zip(results[0][1:], results[1][1:], strict=True):
        assert np.array_equal(got != 0, expected != 0)
    return results[0]


CASES = [
    # lane, accumulator, bits of the codes, rule
    (np.int16, 14, 8, PLAIN),
    (np.int16, 9, 4, PLAIN),
    (np.int16, 15, 8, SATURATING),
    (np.int16, 16, 8, FULL),
    (np.int32, 17, 8, PLAIN),
    (np.int32, 31, 15, PLAIN),
    (np.int32, 31, 16, SATURATING),
    (np.int32, 32, 16, FULL),
    (np.int64, 33, 16, PLAIN),
    (np.int64, 62, 31, PLAIN),
]


@pytest.mark.parametrize("vectors", SATURATING_WIDTHS)
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("lane", "bits", "codes", "rule"), CASES)
def test_saturating_tiles(lane: Any, bits: int, codes: int, rule: int, outputs: int, vectors: int) -> None:
    """The most and the least that codes can be are frequent, so that every lane clamps at both ends."""
    rng = np.random.default_rng(bits)
    top = 1 << (codes - 1)
    assert saturating_lanes(bits, top * top) == (lane, rule)
    wide = np.int16 if codes <= 16 else np.int32
    rows = np.where(rng.random(900) < 0.5, rng.integers(-top, top, 900), rng.choice([-top, top - 1], 900)).astype(wide)
    weights = np.where(rng.random((2, TERMS)) < 0.5, rng.integers(-top, top, (2, TERMS)), -top).astype(lane)
    offsets = rng.integers(0, 900 - 4 * 64 - 9, TERMS)
    low, high = limits(bits, True)
    sums = rng.integers(low, high, (2, 300), endpoint=True).astype(lane)
    sums[:, ::3], sums[:, 1::3] = low, high
    given = (sums, np.zeros_like(sums), rows, offsets, *weights, 9, (low, high), outputs, vectors, rule)
    got, moved = run_both(compiled_saturating_tile, saturating_tile, 2, *given)
    n = vectors * REGISTER // np.dtype(lane).itemsize
    assert np.array_equal(got[outputs:], sums[outputs:]) and not moved[outputs:].any()
    assert np.array_equal(got[:, :9], sums[:, :9]) and np.array_equal(got[:, 9 + n :], sums[:, 9 + n :])
    assert moved[:outputs, 9 : 9 + n].any()


def test_exact_tiles_do_not_clamp() -> None:
    sums = np.full((2, 300), 7, np.int32)
    rows, weights = np.full(400, 100, np.int16), np.full(TERMS, -3, np.int32)
    offsets = np.arange(TERMS)
    given = (sums, np.zeros_like(sums), rows, offsets, weights, weights, 0, (-9, 9), 2, 4, EXACT)
    got, moved = run_both(compiled_saturating_tile, saturating_tile, 2, *given)
    assert (got[:, :64] == 7 - 300 * TERMS).all() and not moved.any()


@pytest.mark.parametrize("bits", [8, 11, 14, 15, 16])
def test_every_sum_and_product_of_16_bits(bits: int) -> None:
    """One addition, of products at the ends and around each bound, to every accumulator that there is."""
    low, high = limits(bits, True)
    room = np.arange(low, high + 1)
    for product in (-32767, -32640, -16384, low + 1, -1, 0, 1, high, 16384, 32640, 32767):
        lane, rule = saturating_lanes(bits, abs(product))
        assert lane is np.int16
        sums, memory = with_slack((2, len(room)), lane)
        sums[:], memory[sums.size :] = room, 0
        moved = np.zeros_like(sums)
        rows = np.ones(len(room) + SLACK, np.int16)
        weights = np.full(1, product, lane)
        per_tile = REGISTER // sums.itemsize
        for first in range(0, len(room), per_tile):
            arguments = (sums, moved, rows, np.zeros(1, np.int64), weights, weights, first, (low, high), 2, 1, rule)
            compiled_saturating_tile(arguments)
        exact = room + product
        assert np.array_equal(sums[1], np.clip(exact, low, high))
        assert np.array_equal(moved[1] != 0, exact != np.clip(exact, low, high))


@pytest.mark.parametrize("negative", [0, 1])
@pytest.mark.parametrize("vectors", SUMMING_WIDTHS)
@pytest.mark.parametrize(("narrow", "wide"), [(np.int16, np.int32), (np.int16, np.int64), (np.int32, np.int64)])
def test_summing_tiles(narrow: Any, wide: Any, vectors: int, negative: int) -> None:
    """at_once rows at the end of their dtype, and one more in the list."""
    rng = np.random.default_rng(vectors)
    top = np.iinfo(narrow).max // 5
    rows = rng.choice([-top, top, 3], 900).astype(narrow)
    rows[100:400] = top
    for index in (np.int32, np.int64):
        offsets = rng.integers(100, 390, TERMS).astype(index)
        for start, stop in ((0, 0), (3, 4), (0, 5), (1, 7), (2, TERMS)):
            sums = rng.integers(-9, 9, 300).astype(wide)
            given = (sums, rows, offsets, start, stop, 4, 5, negative, vectors)
            run_both(compiled_summing_tile, summing_tile, 1, *given)


def test_sums_wrap_at_their_own_width() -> None:
    rows, offsets = np.full(600, 2**30, np.int32), np.zeros(6, np.int64)
    sums = np.zeros(300, np.int32)
    compiled_summing_tile((sums, rows, offsets, 0, 6, 0, 6, 0, 1))
    assert (sums[:16] == -(2**31)).all()  # 6 * 2**30 modulo 2**32


@pytest.mark.parametrize(
    ("bits", "product", "expected"),
    [
        (8, 2**15 - 2**7 - 1, (np.int16, PLAIN)),
        (8, 2**15 - 2**7, (np.int16, SATURATING)),
        (16, 2**15 - 1, (np.int16, FULL)),
        (16, 2**15, (np.int32, PLAIN)),
        (17, 0, (np.int32, PLAIN)),
        (31, 2**30 - 1, (np.int32, PLAIN)),
        (31, 2**30, (np.int32, SATURATING)),
        (32, 2**31 - 1, (np.int32, FULL)),
        (32, 2**31, (np.int64, PLAIN)),
        (33, 2**31, (np.int64, PLAIN)),
    ],
)
def test_the_lanes_of_an_accumulator(bits: int, product: int, expected: tuple[Any, int]) -> None:
    assert saturating_lanes(bits, product) == expected


def test_products_that_no_lane_holds() -> None:
    with pytest.raises(ValueError, match="no lane holds a product of 9223372036854775808"):
        saturating_lanes(40, 2**63)


MUTANTS = [
    ('"sadd.sat"', '"uadd.sat"'),
    ('"smin"', '"umin"'),
    ("index.type(number * self.lanes)", "index.type(number)"),
    ("length.type(m)", "length.type(0)"),
    ("builder.or_(flag, builder.xor(total, kept))", "builder.xor(total, kept)"),
    ("rule in (PLAIN, SATURATING)", "rule in (PLAIN,)"),
    ("rule in (EXACT, PLAIN)", "rule in (EXACT, PLAIN, SATURATING)"),
    ("builder.sext(value, kind)", "builder.zext(value, kind)"),
    ("builder.sub if subtracts else builder.add", "builder.add"),
    ("builder.sub(at_once, at_once.type(1))", "at_once.type(0)"),
    ('builder.select(builder.icmp_signed("<", end, stop), end, stop)', "end"),
]


@pytest.mark.parametrize(("old", "new"), MUTANTS)
def test_mutants_of_the_machine_code_are_caught(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above, on tiles that are compiled with the mistake."""
    plant(monkeypatch, lanes, old, new)
    for name in ("saturating_tile", "summing_tile"):
        monkeypatch.setitem(globals(), f"compiled_{name}", compiled(getattr(lanes, f"_{name}")))
    with pytest.raises(AssertionError):
        for lane, bits, codes, rule in CASES[:7]:
            test_saturating_tiles(lane, bits, codes, rule, 2, 4)
        test_every_sum_and_product_of_16_bits(11)
        test_exact_tiles_do_not_clamp()
        for negative in (0, 1):
            test_summing_tiles(np.int16, np.int32, 4, negative)


def compiled(tile: Any) -> Callable[[Any], None]:
    """A tile as a function of its arguments, not cached."""

    @numba.njit
    def run(arguments: Any) -> None:
        tile(*arguments)

    return run
