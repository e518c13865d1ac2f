from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from intsim.errors import OutOfDomain
from intsim.levels import Levels, half_up_root, join_signs, split_signs
from intsim.spec.post_table import post_table

LOW, HIGH = -255, 255
"""Every difference of two 8-bit codes, hence every 8-bit activation under every zero point."""

WIDEST = 8
FLOORS = {"rounding": ROUND_FLOOR}


def floor(value: Decimal) -> int:
    return int(value.to_integral_value(ROUND_FLOOR))


def second(rule: str, guard_bits: int, variant: str, x: int, m: int, root: Decimal) -> int:
    """The product by another way: decimals of 60 digits, floors of quotients by powers of two."""
    if m == 0:
        return 0
    k = (m - 1) * (1 if rule == "post" else 2)
    if variant == "full":
        exact = Decimal(x) * 2**guard_bits / Decimal(2) ** (k // 2) * (root if k % 2 else 1)
        return floor(exact + Decimal("0.5"))
    if k % 2 == 0:
        return floor(Decimal(x) * 2**guard_bits / Decimal(2) ** (k // 2))
    entry = floor(Decimal(x) * 2**guard_bits * root + Decimal("0.5"))
    return floor(Decimal(entry) / Decimal(2) ** ((k - 1) // 2))


@pytest.mark.parametrize("variant", ["shared", "full"])
@pytest.mark.parametrize("rule", ["post", "pot"])
@pytest.mark.parametrize("guard_bits", range(13))
def test_every_8_bit_activation_and_level(rule: str, guard_bits: int, variant: str) -> None:
    table = post_table(rule=rule, bits=WIDEST, guard_bits=guard_bits, variant=variant, low=LOW, high=HIGH)
    with localcontext() as context:
        context.prec = 120
        root = Decimal("0.5").sqrt()
        expected = [
            [second(rule, guard_bits, variant, x, m, root) for x in range(LOW, HIGH + 1)]
            for m in range(1 << (WIDEST - 1))
        ]
    np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("variant", ["shared", "full"])
@pytest.mark.parametrize("rule", ["post", "pot"])
@pytest.mark.parametrize("bits", range(2, WIDEST))
def test_narrower_codes_have_the_first_levels_of_the_wider(bits: int, rule: str, variant: str) -> None:
    for guard_bits in range(13):
        common: dict[str, Any] = {"rule": rule, "guard_bits": guard_bits, "variant": variant, "low": LOW, "high": HIGH}
        table = post_table(bits=bits, **common)
        assert table.shape == (1 << (bits - 1), HIGH - LOW + 1)
        np.testing.assert_array_equal(table, post_table(bits=WIDEST, **common)[: len(table)])


@pytest.mark.parametrize("n", range(-140, 30))
def test_the_root_is_between_its_neighbours_squares(n: int) -> None:
    """t = half_up(v) means 2t - 1 <= 2v < 2t + 1; compared as squares with signs, so without any root."""
    for x in [*range(-300, 301), -65536, 65535, 40503, -40503]:
        t = half_up_root(x, n)
        scale = 2 ** abs(n)
        doubled = 4 * x * abs(x) * (scale if n > 0 else 1)  # sign(v) (2v)**2, times the unit
        unit = 1 if n > 0 else scale
        assert (2 * t - 1) * abs(2 * t - 1) * unit <= doubled < (2 * t + 1) * abs(2 * t + 1) * unit


def test_products_rise_with_x_so_that_their_ends_bound_them() -> None:
    for variant in ("shared", "full"):
        for guard_bits in range(13):
            table = post_table(rule="post", bits=8, guard_bits=guard_bits, variant=variant, low=LOW, high=HIGH)
            assert (np.diff(table, axis=1) >= 0).all()
            assert not table[:, -LOW].any()


def test_the_variants_differ_and_so_do_the_rules() -> None:
    common: dict[str, Any] = {"bits": 4, "guard_bits": 3, "low": LOW, "high": HIGH}
    shared, full = (post_table(rule="post", variant=variant, **common) for variant in ("shared", "full"))
    assert (shared != full).any(axis=1).tolist() == [False, False, False, False, True, False, True, False]
    np.testing.assert_array_equal(
        post_table(rule="pot", variant="shared", **common)[1:5],
        shared[1::2],
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": "log"},
        {"variant": "half"},
        {"bits": 1},
        {"bits": 9},
        {"guard_bits": -1},
        {"guard_bits": 13},
        {"low": 1},
        {"high": -1},
        {"high": 1 << 20},
    ],
)
def test_refusals(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"rule": "post", "bits": 4, "guard_bits": 3, "variant": "full", "low": -8, "high": 7}
    with pytest.raises(OutOfDomain, match=next(iter(wrong))):
        post_table(**{**right, **wrong})


@pytest.mark.parametrize("bits", range(2, 9))
def test_codes_and_levels(bits: int) -> None:
    codes = np.array([c for c in range(1 << bits) if c != 1 << (bits - 1)])
    assert len(codes) == 2**bits - 1
    negative, magnitude = split_signs(codes, bits)
    np.testing.assert_array_equal(join_signs(negative, magnitude, bits), codes)
    with localcontext() as context:
        context.prec = 60
        root = Decimal("0.5").sqrt()
        exact = [float(root**m) for m in range((1 << (bits - 1)) - 1)]
    reals = Levels("post", 0, "full").reals(codes, bits)
    expected = np.array([0.0, *exact], np.float64).astype(np.float32)
    np.testing.assert_array_equal(reals, np.concatenate([expected, -expected[1:]]))
