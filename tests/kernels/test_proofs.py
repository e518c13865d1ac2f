"""The identities that kernels rely on, proved by an SMT solver for all operands, shift by shift.

Bit vectors are wide enough that nothing wraps in the unbounded side; products are free variables within their bounds,
which are proved on their own. Each proof asks z3 for a counterexample and wants `unsat`.
"""

from __future__ import annotations

from typing import Any

import pytest

from intsim.formats import ROUNDINGS
from intsim.kernels.rounding import MAX_SHIFT, shift_terms

z3: Any = pytest.importorskip("z3")

WIDE = 66
"""Bits of the unbounded side: int64 values, and sums of a few of them."""


def number(name: str, bits: int = 64) -> Any:
    """Any integer of so many signed bits, as a vector of WIDE bits."""
    return z3.SignExt(WIDE - bits, z3.BitVec(name, bits))


def constant(value: int) -> Any:
    return z3.BitVecVal(value, WIDE)


def holds(claim: Any, *given: Any) -> bool:
    """Whether no assignment satisfies `given` and breaks the claim."""
    solver = z3.Solver()
    solver.add(*given, z3.Not(claim))
    return bool(solver.check() == z3.unsat)


def fits(v: Any, bits: int = 64) -> Any:
    return z3.And(v >= -(1 << (bits - 1)), v < 1 << (bits - 1))


def rounds_up(remainder: Any, rest: Any, negative: Any, odd: Any, rule: str) -> Any:
    """Whether the spec takes floor + 1: of the remainder, what it lacks to the divisor, and two facts of the floor."""
    inexact, above, tie = remainder > 0, remainder > rest, remainder == rest
    return {
        "half_up": z3.Or(above, tie),
        "half_down": above,
        "half_even": z3.Or(above, z3.And(tie, odd)),
        "half_away": z3.Or(above, z3.And(tie, z3.Not(negative))),
        "half_to_zero": z3.Or(above, z3.And(tie, negative)),
        "floor": z3.BoolVal(False),
        "ceil": inexact,
        "toward_zero": z3.And(inexact, negative),
        "away_from_zero": z3.And(inexact, z3.Not(negative)),
    }[rule]


def defined(v: Any, shift: int, rule: str) -> Any:
    """round(v / 2**shift) as the spec says it."""
    floor = v >> shift
    remainder = v & ((1 << shift) - 1)  # v - (floor << shift), which costs the solver more
    up = rounds_up(remainder, (1 << shift) - remainder, floor < 0, floor & 1 == 1, rule)
    return floor + z3.If(up, constant(1), constant(0))


def test_a_false_claim_is_not_proved() -> None:
    v = number("v")
    assert not holds(((v + 1) >> 1) == defined(v, 1, "half_away"))
    assert not holds(fits(v + 1))


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_shift_right_is_the_definition_and_stays_in_int64(rule: str) -> None:
    """kernels/rounding.py: floor + ((remainder + terms) >> shift), for every int64 and every shift.

    v enters by its remainder, and by whether its floor is negative and odd; each combination is assumed possible.
    NNgen's last rounding is this one too.
    """
    negative, odd = z3.Bools("negative odd")
    for shift in range(MAX_SHIFT + 1):
        remainder = z3.BitVec("remainder", WIDE)
        always, if_negative, if_odd = shift_terms(rule, shift)
        total = remainder + always + z3.If(negative, constant(if_negative), constant(0))
        total += z3.If(odd, constant(if_odd), constant(0))
        up = rounds_up(remainder, (1 << shift) - remainder, negative, odd, rule)
        claim = z3.And(fits(total), (total >> shift) == z3.If(up, constant(1), constant(0)))
        assert holds(claim, remainder >= 0, remainder < 1 << shift), shift


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_fold_keeps_what_decides_the_rounding(rule: str) -> None:
    """kernels/rounding.py, fold: v >> excess with a sticky bit rounds, shifted by the rest (2 or more), as v does."""
    v = number("v", 24)
    for excess in (1, 2, 3, 9, 20):
        folded = (v >> excess) | z3.If(v & ((1 << excess) - 1) == 0, constant(0), constant(1))
        for rest in (2, 3):
            assert holds(defined(folded, rest, rule) == defined(v, excess + rest, rule)), (excess, rest)


def test_products_stay_within_their_bounds() -> None:
    """What the other proofs assume of a product: int32 x int32 is at most 2**62, int48 x 15 bits below it, …"""
    a, b = z3.Ints("a b")
    for low_a, high_a, low_b, high_b, bound in (
        (-(2**31), 2**31 - 1, -(2**31), 2**31 - 1, 2**62),
        (-(2**47), 2**47 - 1, 0, 2**15 - 1, 2**62 - 1),
        (1 - 2**32, 2**32 - 1, -(2**15), 2**15 - 1, 2**47),
        (-(2**32), 2**32, 1 - 2**31, 2**31 - 1, 2**63 - 1),
    ):
        solver = z3.Solver()
        solver.add(low_a <= a, a <= high_a, low_b <= b, b <= high_b)
        # at fixed b the product is linear in a, and so largest at an end; then the same in b
        for end_a in (low_a, high_a):
            solver.push()
            solver.add(z3.Or(end_a * b > bound, end_a * b < -bound))
            assert solver.check() == z3.unsat
            solver.pop()
    x, low, high, y = z3.Reals("x low high y")
    linear = z3.Solver()
    linear.add(low <= x, x <= high, x * y > low * y, x * y > high * y)
    assert linear.check() == z3.unsat


PRODUCT = 1 << 62


def product(name: str) -> tuple[Any, Any]:
    """Any product of two int32, and what is known of it."""
    p = number(name)
    return p, z3.And(p >= -PRODUCT, p <= PRODUCT)


def test_srdhm() -> None:
    """(p + 2**30) >> 31 is gemmlowp's nudge and division toward zero; the minimum is its one saturated case.

    Of the products of two int32 only (-2**31)**2 = 2**62 is 2**62 - 2**30 or more; the next is 2**62 - 2**31.
    """
    p, known = product("p")
    nudged = p + z3.If(p >= 0, constant(1 << 30), constant(1 - (1 << 30)))
    quotient = z3.If(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    assert holds(z3.And(fits(p + (1 << 30)), (p + (1 << 30)) >> 31 == quotient), known)
    ours = (p + (1 << 30)) >> 31
    assert holds(z3.And(ours >= -(1 << 31), ours <= 1 << 31, (ours == 1 << 31) == (p >= PRODUCT - (1 << 30))), known)


def test_rounding_divide_by_pot() -> None:
    """(x + half - (x < 0 and exponent > 0)) >> exponent is gemmlowp's mask and threshold, and half_away."""
    x = number("x", 32)
    for exponent in range(32):
        mask = (1 << exponent) - 1
        threshold = (mask >> 1) + z3.If(x < 0, constant(1), constant(0))
        theirs = (x >> exponent) + z3.If((x & mask) > threshold, constant(1), constant(0))
        less = z3.If(x < 0, constant(int(exponent > 0)), constant(0))
        ours = (x + ((1 << exponent) >> 1) - less) >> exponent
        assert holds(z3.And(ours == theirs, ours == defined(x, exponent, "half_away"))), exponent


def test_single_rounding_of_tflite_and_cmsis_nn() -> None:
    """(p + 2**(t-1)) >> t and ((p >> (t-1)) + 1) >> 1 are half_up, within int64, for t = 31 - shift."""
    p, known = product("p")
    for t in range(1, 63):
        tflite, cmsis = (p + (1 << (t - 1))) >> t, ((p >> (t - 1)) + 1) >> 1
        claim = z3.And(fits(p + (1 << (t - 1))), tflite == cmsis, tflite == defined(p, t, "half_up"))
        assert holds(claim, known), t


def test_double_rounding_of_tosa_is_tflites() -> None:
    """One shift with a nudge by the value's sign is half_up by 31 bits, then half_away by the rest.

    The value's sign is the product's, or the product is zero. Up to t = 31 there is no nudge: the next test.
    """
    p, known = product("p")
    for t in range(32, 63):
        for negative in (False, True):
            sign = p <= 0 if negative else p >= 0
            total = p + (1 << (t - 1)) + (-(1 << 30) if negative else 1 << 30)
            double = defined(defined(p, 31, "half_up"), t - 31, "half_away")
            assert holds(z3.And(fits(total), total >> t == double), known, sign), (t, negative)


def test_a_left_shift_before_srdhm_is_a_shorter_shift_after() -> None:
    """((p << s) + 2**30) >> 31 == (p + 2**(30-s)) >> (31-s): TFLite's order and TOSA's, where nothing wraps."""
    p, known = product("p")
    for s in range(1, 31):
        room = z3.And(p >= -(PRODUCT >> s), p <= PRODUCT >> s)  # |acc << s| <= 2**31
        assert holds(((p << s) + (1 << 30)) >> 31 == (p + (1 << (30 - s))) >> (31 - s), known, room), s


def test_half_away_of_nvdla() -> None:
    """(v + half - (v < 0)) >> shift is half_away of a product of 48 bits; beyond a shift of 62 as at 62."""
    v = number("v", 49)
    for shift in range(64):
        less = z3.If(v < 0, constant(int(shift > 0)), constant(0))
        used = min(shift, 62)
        ours = (v + ((1 << used) >> 1) - less) >> used
        assert holds(z3.And(fits(v + ((1 << used) >> 1)), ours == defined(v, shift, "half_away"))), shift
