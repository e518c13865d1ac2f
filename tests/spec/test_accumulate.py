"""The walk of an accumulator against a second one, in scalar loops on Python's integers."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intsim import spec
from intsim.errors import AccumulatorOverflow, OutOfDomain
from intsim.formats import ROUNDINGS
from intsim.summation import CLAMPS, Summation
from tests.spec.second import FRACTION, Array, clipped, wrapped

RULES = ["wrap", "saturate"]
PLAIN: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "groups": 1}


def held(value: int, bits: int, rule: str) -> int:
    return clipped(value, bits, True) if rule == "saturate" else wrapped(value, bits)


def node(leaves: list[int], s: Summation, seen: list[tuple[str, int]]) -> int:
    """The root of a tree over a power of two of leaves, from the top down."""
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    total = node(leaves[:half], s, seen) + node(leaves[half:], s, seen)
    if s.tree_bits is None:
        return total
    if held(total, s.tree_bits, s.tree_overflow) != total:
        seen.append(("tree", total))
    return held(total, s.tree_bits, s.tree_overflow)


def scalar_walk(
    products: Array, exact: int, bias: int, constant: int, bits: int, overflow: str, s: Summation
) -> tuple[int, list[tuple[str, int]]]:
    """The accumulator of one element, and each adder and value that did not fit; of a tree from the top down.

    products: int[channels, *spatial]; exact: the true sum.
    """
    seen: list[tuple[str, int]] = []
    each = overflow == "saturate" and s.clamp == "product"
    order = s.order or tuple(range(products.ndim))
    per_pass = s.channels_per_pass or len(products)
    chunks = [products[i : i + per_pass] for i in range(0, len(products), per_pass)]
    leaves = 2 ** (s.lanes - 1).bit_length()

    def hold(value: int) -> int:
        if held(value, bits, overflow) != value:
            seen.append(("accumulator", value))
        return held(value, bits, overflow)

    def plus(acc: int, addend: int) -> int:
        return hold(acc + addend) if each else acc + addend

    acc = plus(0, bias) if s.bias_first else 0
    for number, chunk in enumerate(chunks):
        if number:
            rounded = FRACTION[s.spill_rounding](Fraction(hold(acc), 2**s.spill_shift))
            width = s.spill_bits or bits
            spilled = held(rounded, width, s.spill_overflow)
            if spilled != rounded:
                seen.append(("spill", rounded))
            acc = plus(0, spilled * 2**s.spill_shift)
        line = [int(v) for v in np.transpose(chunk, order).ravel()]
        for k in range(0, len(line), s.lanes):
            step = line[k : k + s.lanes]
            acc = plus(acc, node(step + [0] * (leaves - len(step)), s, seen))
    if s.offsets is not None:
        acc = plus(hold(acc), exact - int(products.sum()))
    if not s.bias_first:
        acc = plus(acc, bias)
    return hold(plus(acc, constant)), seen


MARKS = {"accumulator": 1, "tree": 2, "spill": 4}


def same(x: Array, w: Array, *, x_zero: int = 0, w_zero: int = 0, pad: int = 0, **parameters: Any) -> None:
    """Compares spec.conv of stride 1 with the scalar walk, element by element."""
    s: Summation = parameters["summation"]
    bits, overflow = parameters["accumulator_bits"], parameters["overflow"]
    acc, events = spec.conv(x, w, x_zero=x_zero, w_zero=w_zero, **{**PLAIN, "pads": (pad,) * 4, **parameters})
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=x_zero).astype(np.int64)
    x_offset, w_offset = s.offsets or (x_zero, w_zero)
    for n, m, i, j in np.ndindex(*acc.shape):
        patch = padded[n, :, i : i + w.shape[2], j : j + w.shape[3]]
        products = (patch - x_offset) * (w[m].astype(np.int64) - w_offset)
        exact = int(((patch - x_zero) * (w[m].astype(np.int64) - w_zero)).sum())
        bias = int(np.atleast_1d(parameters.get("bias", 0))[0])
        expected, seen = scalar_walk(products, exact, bias, parameters.get("constant", 0), bits, overflow, s)
        assert int(acc[n, m, i, j]) == expected
        assert int(events[n, m, i, j]) == sum(MARKS[what] for what in {what for what, _ in seen})


summations = st.builds(
    Summation,
    order=st.one_of(st.none(), st.permutations(range(3)).map(tuple)),
    clamp=st.sampled_from(CLAMPS),
    lanes=st.integers(1, 6),
    tree_bits=st.sampled_from([None, 6, 9, 12, 64]),
    tree_overflow=st.sampled_from(RULES),
    channels_per_pass=st.one_of(st.none(), st.integers(1, 4)),
    spill_bits=st.sampled_from([None, 4, 7, 33]),
    spill_shift=st.integers(0, 6),
    spill_rounding=st.sampled_from(ROUNDINGS),
    spill_overflow=st.sampled_from(RULES),
    bias_first=st.booleans(),
    offsets=st.one_of(st.none(), st.tuples(st.integers(-16, 9), st.integers(-3, 3))),
)


@settings(max_examples=150, deadline=None)
@given(
    summations,
    st.sampled_from([8, 9, 12, 40, 64]),
    st.sampled_from(RULES),
    st.tuples(st.integers(-300, 300), st.integers(0, 64), st.integers(-8, 7), st.integers(-3, 3)),
    st.integers(0, 1),
    st.integers(0, 10**6),
)
def test_any_walk(
    s: Summation, bits: int, overflow: str, others: tuple[int, int, int, int], pad: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.integers(-8, 8, (1, 3, 3, 3)), rng.integers(-8, 8, (2, 3, 2, 2))
    bias, constant, x_zero, w_zero = others
    same(
        x,
        w,
        x_zero=x_zero,
        w_zero=w_zero,
        pad=pad,
        bias=bias,
        constant=constant,
        accumulator_bits=bits,
        overflow=overflow,
        summation=s,
    )


@pytest.mark.parametrize("bits", [8, 16, 31, 32, 33, 48, 64])
@pytest.mark.parametrize("overflow", RULES)
def test_products_wider_than_the_accumulator(bits: int, overflow: str) -> None:
    """16 x 16 and 32 x 32 bits: products of up to 62 bits and sums beyond int64."""
    for high in (2**15, 2**31):
        x = np.array([-high, high - 1, -high, -high], np.int64).reshape(1, 2, 1, 2)
        w = np.array([[-high, -high, high - 1, -high], [high - 1] * 4]).reshape(2, 2, 1, 2)
        for s in (Summation(), Summation(lanes=2, tree_bits=40, tree_overflow="saturate"), Summation(bias_first=True)):
            same(x, w, bias=-high, accumulator_bits=bits, overflow=overflow, summation=s)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_each_mac_order_is_its_own(order: tuple[int, ...]) -> None:
    """Products 2**position, alternately signed: with 8 saturating bits each order ends somewhere else."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(-8, 8, (1, 3, 2, 3)), rng.integers(-8, 8, (1, 3, 2, 3))
    results = {}
    for other in itertools.permutations(range(3)):
        s = Summation(order=other)
        same(x * 4, w, accumulator_bits=8, overflow="saturate", summation=s)
        acc, _ = spec.conv(x * 4, w, **PLAIN, accumulator_bits=8, overflow="saturate", summation=s)
        results[other] = int(acc.item())
    assert any(results[order] != value for value in results.values())


def test_the_rounding_constant_inside_wraps() -> None:
    """32764 + 8 leaves 16 bits."""
    x, w = np.full((1, 1, 1, 1), 32764), np.ones((1, 1, 1, 1), int)
    for overflow, expected in (("wrap", -32764), ("saturate", 32767)):
        acc, events = spec.conv(x, w, **PLAIN, accumulator_bits=16, overflow=overflow, constant=8)
        assert (acc.item(), events.item()) == (expected, 1)


def test_byte_pairs_saturate_at_16_bits() -> None:
    """x86's VPMADDUBSW: 255 * 127 + 255 * 127 = 64770 becomes 32767, and the next pair is added beyond 16 bits."""
    s = Summation(lanes=2, tree_bits=16, tree_overflow="saturate", offsets=(0, 0))
    acc, events = spec.matmul(
        np.full((1, 4), 255), np.full((4, 1), 127), accumulator_bits=32, overflow="wrap", summation=s
    )
    assert (acc.item(), events.item()) == (2 * 32767, 2)


def test_a_spill_rounds_and_is_held_by_its_own_rule() -> None:
    """Passes of one channel: 100 -> 100 / 8 = 12.5 -> 13, in 4 bits 7 -> 56; then 56 + 100."""
    for bits, expected, event in ((4, 156, 4), (5, 204, 0)):
        s = Summation(channels_per_pass=1, spill_bits=bits, spill_shift=3, spill_overflow="saturate")
        acc, events = spec.matmul(
            np.full((1, 2), 10), np.full((2, 1), 10), accumulator_bits=16, overflow="saturate", summation=s
        )
        assert (acc.item(), events.item()) == (expected, event)


@pytest.mark.parametrize(
    ("s", "overflow", "message"),
    [
        (
            Summation(tree_bits=8, tree_overflow="trap", lanes=2),
            "wrap",
            r"tree must be within -128 to 127 .* not 200 at",
        ),
        (Summation(channels_per_pass=1, spill_bits=6, spill_overflow="trap"), "wrap", "spill must be within -32 to 31"),
        (Summation(offsets=(-100, 0)), "trap", r"accumulator must be within -128 to 127 .*, not 2200 at \(0, 0\)"),
        (Summation(channels_per_pass=1), "trap", r"accumulator must be .*, not 200 at \(0, 0\)"),
    ],
)
def test_each_rule_traps(s: Summation, overflow: str, message: str) -> None:
    with pytest.raises(AccumulatorOverflow, match=message):
        spec.matmul(np.full((1, 2), 10), np.full((2, 1), 10), accumulator_bits=8, overflow=overflow, summation=s)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clamp": "never"}, "clamp must be one of product, end"),
        ({"lanes": 0}, "lanes must be an integer within 1"),
        ({"tree_bits": 65}, "tree_bits must be an integer within 1 to 64"),
        ({"tree_overflow": "clip"}, "tree_overflow must be one of"),
        ({"channels_per_pass": 0}, "channels_per_pass must be an integer within 1"),
        ({"spill_bits": 0}, "spill_bits must be an integer within 1 to 64"),
        ({"spill_shift": -1}, "spill_shift must be an integer within 0"),
        ({"spill_rounding": "nearest"}, "rounding must be one of"),
        ({"spill_overflow": "clip"}, "spill_overflow must be one of"),
        ({"order": (0, 1, 1)}, "order must be a permutation"),
        ({"order": (0, 1)}, "order must name the 3 axes"),
    ],
)
def test_wrong_summations(changes: dict[str, Any], message: str) -> None:
    x, w = np.ones((1, 1, 1, 1), int), np.ones((1, 1, 1, 1), int)
    with pytest.raises(OutOfDomain, match=message):
        spec.conv(x, w, **PLAIN, accumulator_bits=8, overflow="wrap", summation=Summation(**changes))


def test_a_preloaded_bias_is_held_before_the_first_product() -> None:
    """200 becomes 127, and -100 makes 27 of it; added last it would be 100."""
    a, b = np.array([[-10]]), np.array([[10]])
    for first, expected, event in ((True, 27, 1), (False, 100, 0)):
        acc, events = spec.matmul(
            a, b, bias=200, accumulator_bits=8, overflow="saturate", summation=Summation(bias_first=first)
        )
        assert (acc.item(), events.item()) == (expected, event)


def test_what_is_restored_is_held() -> None:
    """127 / 8 rounds to 16, which is restored as 128: clamped to 127 again before -10 is added."""
    s = Summation(channels_per_pass=1, spill_bits=8, spill_shift=3)
    acc, events = spec.matmul(
        np.array([[127, -10]]), np.array([[1], [1]]), accumulator_bits=8, overflow="saturate", summation=s
    )
    assert (acc.item(), events.item()) == (117, 1)
