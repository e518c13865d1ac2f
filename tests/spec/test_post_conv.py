from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.errors import AccumulatorOverflow, OutOfDomain
from intsim.spec.post_conv import post_conv
from intsim.spec.post_matmul import post_matmul
from intsim.spec.post_table import post_table

Array = np.ndarray[Any, Any]

POINT: dict[str, Any] = {
    "strides": (1, 1),
    "pads": (0, 0, 0, 0),
    "dilations": (1, 1),
    "groups": 1,
    "accumulator_bits": 40,
    "overflow": "wrap",
}


def table_of(bits: int, guard_bits: int = 3, variant: str = "shared", rule: str = "post") -> Array:
    return post_table(rule=rule, bits=bits, guard_bits=guard_bits, variant=variant, low=-255, high=255)


def codes_of(bits: int) -> Array:
    return np.array([c for c in range(1 << bits) if c != 1 << (bits - 1)], np.uint8)


def product(table: Array, code: int, x: int) -> int:
    """sgn(w) T(x, |w|) of one code, spelled with strings of bits."""
    width = len(table).bit_length()
    text = format(code, f"0{width}b")
    value = int(table[int(text[1:], 2), x + 255])
    return -value if text[0] == "1" else value


@pytest.mark.parametrize("variant", ["shared", "full"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_every_activation_with_every_code(bits: int, variant: str) -> None:
    w = codes_of(bits)
    for guard_bits in range(13):
        table = table_of(bits, guard_bits, variant)
        x = range(-255, 256)
        acc, overflowed = post_conv(
            np.reshape(x, (1, 1, 1, -1)), w.reshape(-1, 1, 1, 1), table=table, low=-255, **POINT
        )
        expected = [[product(table, int(code), v) for v in x] for code in w]
        np.testing.assert_array_equal(acc[0, :, 0], expected)
        assert not overflowed.any()


@pytest.mark.parametrize("zero", [0, 1, 100, 255])
def test_zero_points_are_taken_off_before_the_look_up(zero: int) -> None:
    table, w = table_of(4), codes_of(4)
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 1, -1)
    acc, _ = post_conv(x, w.reshape(-1, 1, 1, 1), table=table, low=-255, x_zero=zero, **POINT)
    expected = [[product(table, int(code), v - zero) for v in range(256)] for code in w]
    np.testing.assert_array_equal(acc[0, :, 0], expected)


def naive(x: Array, w: Array, table: Array, zero: int, bias: Array, p: dict[str, Any]) -> tuple[Array, Array]:
    """The accumulators one addition after the other, in Python."""
    (n, _, h, wd), (m, depth, kh, kw) = x.shape, w.shape
    (sy, sx), (dy, dx), (top, left, bottom, right) = p["strides"], p["dilations"], p["pads"]
    rows = (h + top + bottom - dy * (kh - 1) - 1) // sy + 1
    columns = (wd + left + right - dx * (kw - 1) - 1) // sx + 1
    high = (1 << (p["accumulator_bits"] - 1)) - 1
    acc, over = np.zeros((n, m, rows, columns), np.int64), np.zeros((n, m, rows, columns), bool)
    for i, o, r, c in np.ndindex(acc.shape):
        first = o // (m // p["groups"]) * depth
        addends = [
            product(
                table, int(w[o, d, j, k]), int(x[i, first + d, r * sy + j * dy - top, c * sx + k * dx - left]) - zero
            )
            for d, j, k in np.ndindex(depth, kh, kw)
            if 0 <= r * sy + j * dy - top < h and 0 <= c * sx + k * dx - left < wd
        ]
        total = 0
        for addend in [*addends, int(bias[o])]:
            total += addend
            if p["overflow"] == "saturate" and not -high - 1 <= total <= high:
                total, over[i, o, r, c] = min(max(total, -high - 1), high), True
        if not -high - 1 <= total <= high:
            total, over[i, o, r, c] = (total + high + 1) % (2 * high + 2) - high - 1, True
        acc[i, o, r, c] = total
    return acc, over


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("accumulator_bits", [11, 12, 32])
@pytest.mark.parametrize("rule", ["post", "pot"])
def test_convolutions(rule: str, accumulator_bits: int, overflow: str) -> None:
    rng = np.random.default_rng(accumulator_bits)
    parameters: dict[str, Any] = {
        "strides": (2, 1),
        "pads": (1, 0, 2, 1),
        "dilations": (1, 2),
        "groups": 2,
        "accumulator_bits": accumulator_bits,
        "overflow": overflow,
    }
    x, bias = rng.integers(0, 256, (2, 4, 6, 7)), rng.integers(-900, 900, 6)
    for bits, variant in ((2, "full"), (3, "shared"), (5, "full")):
        table = table_of(bits, 3, variant, rule)
        w = rng.choice(codes_of(bits), (6, 2, 3, 2))
        acc, overflowed = post_conv(x, w, table=table, low=-255, x_zero=9, bias=bias, **parameters)
        expected, over = naive(x, w, table, 9, bias, parameters)
        np.testing.assert_array_equal(acc, expected)
        np.testing.assert_array_equal(overflowed != 0, over)
        assert over.any() == (accumulator_bits < 32)


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_matrix_products_are_convolutions_with_a_kernel_of_one_point(overflow: str) -> None:
    rng = np.random.default_rng(2)
    table = table_of(4)
    rules: dict[str, Any] = {"accumulator_bits": 12, "overflow": overflow}
    a, b, bias = rng.integers(-128, 128, (3, 20)), rng.choice(codes_of(4), (20, 5)), rng.integers(-99, 99, 5)
    acc, overflowed = post_matmul(a, b, table=table, low=-255, a_zero=-3, bias=bias, **rules)
    expected, over = naive(a[:, :, None, None], b.T[:, :, None, None], table, -3, bias, {**POINT, **rules})
    np.testing.assert_array_equal(acc, expected[:, :, 0, 0])
    np.testing.assert_array_equal(overflowed != 0, over[:, :, 0, 0])
    assert over.any()


def test_trap_says_where() -> None:
    x, w = np.full((1, 1, 1, 2), [3, 200]).reshape(1, 1, 1, 2), np.array([[[[1]]]])
    with pytest.raises(AccumulatorOverflow, match=r"1600 at \(0, 0, 0, 1\)"):
        post_conv(x, w, table=table_of(3), low=-255, **{**POINT, "accumulator_bits": 8, "overflow": "trap"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w": [[[[8]]]]}, "negative w"),
        ({"w": [[[[16]]]]}, "w must be within 0 to 15"),
        ({"x": [[[[300]]]]}, "x minus its zero point must be within -255 to 255, not 300"),
        ({"table": np.zeros((3, 9), np.int64)}, "table"),
        ({"table": np.ones((4, 9), np.int64)}, "table"),
        ({"w": [[[1]]]}, "rank"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    arguments = {"x": [[[[5]]]], "w": [[[[1]]]], "table": table_of(4), "low": -255, **changes}
    x, w = np.array(arguments.pop("x")), np.array(arguments.pop("w"))
    with pytest.raises(OutOfDomain, match=message):
        post_conv(x, w, **arguments, **POINT)
