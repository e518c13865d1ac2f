"""One exact quotient and its rounding, spelled out."""

from __future__ import annotations

from fractions import Fraction

from intsim.comparison.explain.explanation import Line
from intsim.formats import ROUNDINGS, round_quotient
from intsim.lowering.lowered import Layer


def requantized(n: int, d: int, rounding: str, zero_point: int, layer: Layer) -> tuple[list[Line], dict[str, int]]:
    """The lines from an exact quotient n / d to the output code, and the code that each rule would give."""
    low, high = code_range(layer)

    def code(rule: str) -> int:
        return min(max(round_quotient(n, d, rule) + zero_point, low), high)

    lines = [Line("rounded", round_quotient(n, d, rounding), f"{describe(n, d)}; {rounding}")]
    return [*lines, *clipped(lines[-1].value, zero_point, layer)], {rule: code(rule) for rule in ROUNDINGS}


def clipped(rounded: int | float, zero_point: int, layer: Layer) -> list[Line]:
    """The lines from the rounded quotient to the output code: the zero point, the clip."""
    low, high = code_range(layer)
    moved = int(rounded) + zero_point
    lines = [Line("moved", moved, f"zero point {zero_point:+d}")] if zero_point else []
    code = min(max(moved, low), high)
    what = "within" if code == moved else "clipped to"
    return [*lines, Line("code", code, f"{what} {low}…{high}")]


def code_range(layer: Layer) -> tuple[int, int]:
    """The lowest and the highest code of a layer's output."""
    bits, signed = int(layer.parameters["bits"]), bool(layer.parameters["signed"])
    narrow = int(bool(layer.parameters.get("narrow", False)))
    return (-(1 << (bits - 1)) + narrow if signed else 0), (1 << (bits - int(signed))) - 1


def describe(n: int, d: int) -> str:
    """A quotient as whole and rest, and on which side of the middle the rest lies."""
    floor, rest = divmod(n, d)
    if rest == 0:
        return f"{n} / {d} = {floor} exactly"
    side = "a tie" if 2 * rest == d else ("above the middle" if 2 * rest > d else "below the middle")
    return f"{n} / {d} = {floor} + {rest}/{d}, {side}"


def describe_real(value: Fraction) -> str:
    """On which side of the middle between two integers a float's exact value lies."""
    rest = value - value.numerator // value.denominator
    if rest == 0:
        return "an integer"
    half = Fraction(1, 2)
    return "a tie" if rest == half else ("above the middle" if rest > half else "below the middle")
