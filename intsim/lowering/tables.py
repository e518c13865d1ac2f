"""Tables of a function of one tensor: one output code for each input code.

`exact_table` holds the correctly rounded result on exact reals; `float32_table` what float32 operations give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np

from intsim.formats import Format, round_quotient
from intsim.islands import evaluate as islands

Array = np.ndarray[Any, Any]
Function = Callable[[Fraction, Mapping[str, Any]], Fraction]

DIGITS = 60
"""Decimal digits of exp and sqrt: no result of theirs is a tie unless it is exact, and then it is exact here too."""


def _decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)


def _sigmoid(x: Fraction, attributes: Mapping[str, Any]) -> Fraction:
    with localcontext(prec=DIGITS):
        power = (-abs(_decimal(x))).exp()
        return Fraction((1 if x >= 0 else power) / (1 + power))


def _tanh(x: Fraction, attributes: Mapping[str, Any]) -> Fraction:
    with localcontext(prec=DIGITS):
        power = (-2 * abs(_decimal(x))).exp()
        return (1 if x >= 0 else -1) * Fraction((1 - power) / (1 + power))


def _hard_sigmoid(x: Fraction, attributes: Mapping[str, Any]) -> Fraction:
    line = Fraction(attributes["alpha"]) * x + Fraction(attributes["beta"])
    return min(max(line, Fraction(0)), Fraction(1))


def _clip(x: Fraction, attributes: Mapping[str, Any]) -> Fraction:
    low, high = attributes.get("min", -math.inf), attributes.get("max", math.inf)
    x = x if low == -math.inf else max(x, Fraction(low))
    return x if high == math.inf else min(x, Fraction(high))


def _batch_normalization(x: Fraction, attributes: Mapping[str, Any]) -> Fraction:
    scale, shift, mean, variance = attributes["channel"]
    with localcontext(prec=DIGITS):
        deviation = Fraction(_decimal(variance + Fraction(attributes["epsilon"])).sqrt())
    return scale * (x - mean) / deviation + shift


EXACT: Mapping[str, Function] = {
    "Requantize": lambda x, _: x,
    "Relu": lambda x, _: max(x, Fraction(0)),
    "Clip": _clip,
    "LeakyRelu": lambda x, a: x if x >= 0 else Fraction(a["alpha"]) * x,
    "PRelu": lambda x, a: x if x >= 0 else a["channel"][0] * x,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x, _: x * _hard_sigmoid(x, {"alpha": Fraction(1, 6), "beta": Fraction(1, 2)}),
    "BatchNormalization": _batch_normalization,
}
"""The functions on exact reals. Attributes are the node's; `channel` holds its per-channel constants."""

FUNCTIONS = tuple(EXACT)


def exact_table(
    function: str,
    attributes: Mapping[str, Any],
    constants: list[Array],
    x: Format,
    y: Format,
    rounding: str,
) -> Array:
    """The table int64[2**bits], or int64[channels, 2**bits] where the constants differ by channel.

    table[q - low] = clip(rounding(f(x_scale * (q - x_zero)) / y_scale) + y_zero), f on exact reals.
    """
    step, unit = Fraction(x.scale[0]), Fraction(y.scale[0])
    reals = [step * (q - x.zero_point[0]) for q in range(x.low, x.high + 1)]
    channels = list(zip(*(_exact(c) for c in constants), strict=True)) or [()]
    f = EXACT[function]

    def code(real: Fraction) -> int:
        nearest = round_quotient(*(real / unit).as_integer_ratio(), rounding)
        return min(max(nearest + y.zero_point[0], y.low), y.high)

    rows = [[code(f(r, {**attributes, "channel": channel})) for r in reals] for channel in channels]
    table = np.array(rows, np.int64)
    return table[0] if len(rows) == 1 else table


def float32_table(
    function: str,
    attributes: Mapping[str, Any],
    constants: list[Array],
    x: Format,
    y: Format,
    rounding: str,
) -> Array:
    """The table of ONNX Runtime's float32 operations, int64[2**bits] or int64[channels, 2**bits].

    table[q - low] = CR(f(float32(q - x_zero) * x_scale) / y_scale, y_zero), with CR(v, z) = half_even(clamp(v to
    [low - z, high - z])) + z; every operation in float32. rounding is half_even there, whatever the caller's rule.
    """
    codes = np.arange(x.low, x.high + 1)
    columns = [c.reshape(-1, 1) for c in constants]
    real = islands.evaluate(function, attributes, [x.real(codes), *columns])
    zero = y.zero_point[0]
    clamped = np.clip(real / y.scales[0], np.float32(y.low - zero), np.float32(y.high - zero))
    table = np.rint(clamped).astype(np.int64) + zero
    return table[0] if table.ndim == 2 and len(table) == 1 else table


def _exact(values: Array) -> list[Fraction]:
    return [Fraction(float(v)) for v in values.reshape(-1)]
