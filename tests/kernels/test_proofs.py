"""The identities that kernels rely on, proved by an SMT solver for all operands, shift by shift.

Bit vectors are wide enough that nothing wraps in the unbounded side; products are free variables within their bounds,
which are proved on their own. Each proof asks z3 for a counterexample and wants `unsat`.
"""

from __future__ import annotations

from typing import Any

import pytest

from intsim.formats import ROUNDINGS
from intsim.kernels.rounding import MAX_SHIFT, RULES, shift_terms

z3: Any = pytest.importorskip("z3")

WIDE = 66
"""Bits of the unbounded side: int64 values, and sums of a few of them."""


def number(name: str, bits: int = 64) -> Any:
    """Any integer of N signed bits, as a vector of WIDE bits."""
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
    return floor + z3.If(up, z3.BitVecVal(1, v.size()), z3.BitVecVal(0, v.size()))


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


EVERY = [False, pytest.param(True, marks=pytest.mark.release)]
"""Whether a proof is made for every shift, before a release, or for those at the ends and around bytes and words."""

ENDS = (0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 62, 63)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("rule", ROUNDINGS)
def test_fold_keeps_what_decides_the_rounding(rule: str, every: bool) -> None:
    """kernels/rounding.py, fold: v >> excess with a sticky bit rounds, shifted by the rest, as every int64 v does.

    The rest is MAX_SHIFT, where folding begins; 2 and 3 show that two bits are enough for every rule.
    """
    for rest in (2, 3, MAX_SHIFT):
        for excess in range(1, 64) if every else ENDS[1:]:
            v = z3.SignExt(64, z3.BitVec("v", 64))  # wide enough for 2**(63 + MAX_SHIFT)
            sticky = z3.If(v & ((1 << excess) - 1) == 0, v & 0, v & 0 | 1)
            assert holds(defined(v >> excess | sticky, rest, rule) == defined(v, excess + rest, rule)), (excess, rest)


@pytest.mark.parametrize("rule", ROUNDINGS)
def test_a_bit_less_than_fold_keeps_is_not_enough(rule: str) -> None:
    """Shifted by 1 after folding, a sticky bit is the tie itself; without one, what was lost is lost."""
    v = number("v")
    sticky = z3.If(v & 7 == 0, constant(0), constant(1))
    directed = rule in ("floor", "ceil", "toward_zero", "away_from_zero")
    assert holds(defined(v >> 3 | sticky, 1, rule) == defined(v, 4, rule)) == directed
    assert holds(defined(v >> 3, 2, rule) == defined(v, 5, rule)) == (rule in ("floor", "half_up"))


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
    """(p + 2**(t-1)) >> t and ((p >> (t-1)) + 1) >> 1 are half_up, within int64, for t = 31 - shift.

    TFLite's requantizer of int64 accumulators (t = 15 - shift) and XNNPACK's rndnu (t = n) are the first form too;
    their products are within 2**62.
    """
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


@pytest.mark.parametrize("bits", range(1, 65))
def test_wrap(bits: int) -> None:
    """kernels/saturate.py: (v << unused) >> unused keeps the lowest bits and repeats the top one of them."""
    v, unused = z3.BitVec("v", 64), 64 - bits
    kept = (v << unused) >> unused
    assert holds(z3.And(fits(kept, bits), (kept - v) & ((1 << bits) - 1) == 0) if bits < 64 else kept == v)


def test_wrapping_every_step_of_pulp_is_wrapping_the_last() -> None:
    """requantize_pulp: each intermediate value kept to 32 bits before the next, which then cannot leave int64."""
    v, multiplier, addend, half = z3.BitVecs("v multiplier addend half", 64)

    def wrap32(x: Any) -> Any:
        return z3.SignExt(32, z3.Extract(31, 0, x))

    kept = wrap32(wrap32(wrap32(wrap32(v) * multiplier) + addend) + half)
    assert holds(kept == wrap32(v * multiplier + addend + half))


def clipped(v: Any, low: int, high: int) -> Any:
    ends = [z3.BitVecVal(end, v.size()) for end in (low, high)]
    return z3.If(v < ends[0], ends[0], z3.If(v > ends[1], ends[1], v))


@pytest.mark.parametrize("width", [16, 32])
def test_saturating_lanes(width: int) -> None:
    """kernels/lanes.py: an addition that saturates at the lane's ends, then at the accumulator's, is the exact sum
    clamped; and the sum modulo the lane's width differs from what was kept just where the clamp changed it."""
    acc, product = (z3.SignExt(2, z3.BitVec(name, width)) for name in ("acc", "product"))
    for bits in range(2, width + 1):
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        exact = acc + product
        kept = clipped(clipped(exact, -(1 << (width - 1)), (1 << (width - 1)) - 1), low, high)
        modular = z3.SignExt(2, z3.Extract(width - 1, 0, exact))
        claim = z3.And(kept == clipped(exact, low, high), (modular != kept) == (exact != clipped(exact, low, high)))
        assert holds(claim, acc >= low, acc <= high), bits


@pytest.mark.parametrize(("bits", "signed"), [(1, False), (2, True), (8, True), (8, False), (32, True), (63, False)])
@pytest.mark.parametrize("every", EVERY)
def test_the_window_of_a_left_shift(bits: int, signed: bool, every: bool) -> None:
    """kernels/requantize.py: v is compared with the window, and shifted only inside it, for every int64 and zero."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    wide = z3.BitVec("v", 64)
    v, zero = z3.SignExt(80, wide), z3.SignExt(80, z3.BitVec("zero", 64))
    end = z3.BitVecVal((1 << 63) - 1, 144)

    def to_int64(x: Any) -> Any:
        return z3.If(x > end, end, z3.If(x < ~end, ~end, x))

    for left in range(64) if every else ENDS:
        least, most = to_int64(-((zero - low) >> left)), to_int64((high - zero) >> left)
        bounds = [z3.BitVecVal(e, 144) for e in (low, high)]
        ours = z3.If(v < least, bounds[0], z3.If(v > most, bounds[1], (v << left) + zero))
        inside = z3.And(v >= least, v <= most)
        claim = z3.And(ours == clipped((v << left) + zero, low, high), z3.Implies(inside, fits((v << left) + zero)))
        assert holds(claim, zero >= low, zero <= high), left


@pytest.mark.parametrize("rule", RULES)
def test_divide(rule: str) -> None:
    """kernels/rounding.py, divide: for every n and d > 0, with n = floor * d + remainder."""
    floor, remainder, d = z3.Ints("floor remainder d")
    n, odd = floor * d + remainder, floor % 2 == 1
    negative = floor < 0  # as n < 0, since d > 0 and 0 <= remainder < d
    to_next = d - remainder
    tie = {
        "half_up": z3.BoolVal(True),
        "half_down": z3.BoolVal(False),
        "half_even": odd,
        "half_away": z3.Not(negative),
        "half_to_zero": negative,
    }
    directed = {
        "floor": z3.BoolVal(False),
        "ceil": z3.BoolVal(True),
        "toward_zero": negative,
        "away_from_zero": z3.Not(negative),
    }
    nearest = z3.If(remainder != to_next, remainder > to_next, tie.get(rule, odd))
    up = z3.If(remainder == 0, z3.BoolVal(False), directed.get(rule, nearest))
    given = (d > 0, remainder >= 0, remainder < d)
    assert holds(up == rounds_up(remainder, to_next, negative, odd, rule), *given)
    assert holds((n < 0) == negative, *given)
