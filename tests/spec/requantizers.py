"""The requantizers written a second time: one accumulator, Python integers and fractions, as close to C as can be.

Each takes an accumulator and the parameters of the spec as scalars, and gives the rounded integer before zero point
and clip; where the zero point comes earlier, with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from tests import cases
from tests.spec.second import FRACTION, clipped, float32, wrapped

HALF = Fraction(1, 2)


def half_up(numerator: int, shift: int) -> int:
    return math.floor(Fraction(numerator) / Fraction(2) ** shift + HALF)


def truncated(n: int, d: int) -> int:
    """C's integer division."""
    return abs(n) // abs(d) * (1 if (n < 0) == (d < 0) else -1)


def high_mul(a: int, b: int) -> int:
    """VQRDMULH: a nudge by the product's sign, then a division toward zero."""
    if a == b == -(2**31):
        return 2**31 - 1
    return truncated(a * b + (2**30 if a * b >= 0 else 1 - 2**30), 2**31)


def divide_by_pot(x: int, exponent: int) -> int:
    """Remainder against a threshold that is one more below zero."""
    mask = 2**exponent - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def divide_with_carry(x: int, exponent: int) -> int:
    """As Thumb-2 does it: one less where negative, then the last bit that is shifted out is added."""
    if exponent == 0:
        return x
    x -= x < 0
    return (x >> exponent) + (x >> (exponent - 1) & 1)


def tflite(acc: int, multiplier: int, shift: int) -> int:
    left = wrapped(acc * 2 ** max(shift, 0), 32)
    return divide_by_pot(high_mul(left, multiplier), max(-shift, 0))


def tflite_single(acc: int, multiplier: int, shift: int) -> int:
    return half_up(acc * multiplier, 31 - shift)


def tflite_int64(acc: int, multiplier: int, shift: int) -> int:
    reduced = 0x7FFF if multiplier >= 0x7FFF0000 else half_up(multiplier, 16)
    return half_up(acc * reduced, 15 - shift)


def cmsis_nn(acc: int, multiplier: int, shift: int) -> int:
    left = wrapped(acc * 2 ** max(shift, 0), 32)
    return divide_with_carry(half_up(left * multiplier, 31), max(-shift, 0))


def tosa(
    acc: int,
    multiplier: int,
    shift: int,
    double_rounding: bool = False,
    multiplier_bits: int = 32,
    input_zero_point: int = 0,
) -> int:
    """Double rounding as two roundings: half up by 31 bits, then half away by the rest."""
    product = (acc - input_zero_point) * multiplier
    if double_rounding and shift > 31:
        return FRACTION["half_away"](Fraction(half_up(product, 31), 2 ** (shift - 31)))
    return half_up(product, shift)


def xnnpack_rndnu(acc: int, multiplier: Any) -> int:
    return math.floor(acc * Fraction(float(multiplier)) + HALF)


def in_float32(acc: int, multiplier: Any) -> int:
    """XNNPACK's fp32: two roundings to float32, one to an integer."""
    return round(Fraction(float(float32(Fraction(float(float32(Fraction(acc)))) * Fraction(float(multiplier))))))


def gemmini(acc: int, multiplier: Any) -> int:
    """The converter to int32 saturates, before the clip to the output's width."""
    return clipped(in_float32(acc, multiplier), 32, True)


def nvdla(acc: int, multiplier: int, shift: int, offset: int = 0) -> int:
    return FRACTION["half_away"](Fraction((acc - offset) * multiplier, 2**shift))


def max7800x(acc: int, output_shift: int, bias: int = 0) -> int:
    return math.floor(0.5 + (acc + bias * 128) / (128 / 2.0**output_shift))


def pulp(
    acc: int,
    multiplier: int,
    shift: int,
    addend: int = 0,
    rounding: str = "half_up",
    overflow: str = "wrap",
    input_offset: int = 0,
) -> int:
    """Every intermediate value in 32 bits."""
    value = wrapped(acc + input_offset, 32)
    value = wrapped(value * multiplier, 32)
    value = wrapped(value + addend, 32)
    if rounding == "half_up" and shift > 0:
        value = wrapped(value + (1 << (shift - 1)), 32)
    return value >> shift


def nemo(acc: int, multiplier: int, divisor: int) -> int:
    return math.floor(Fraction(acc * multiplier, divisor))


def nngen(acc: int, out_shift: int, sum_shift: int = 0, bias: int = 0, scale: int = 1) -> int:
    value = (half_up(acc, sum_shift) + bias) * scale
    return FRACTION["half_away"](Fraction(value, 2**out_shift))


def onnx_reference(acc: int, multiplier: Any, zero_point: int = 0) -> Fraction:
    """Before the rounding: the product and the sum, each the float64 next to the exact one."""
    product = float(Fraction(acc) * Fraction(float(multiplier)))
    return Fraction(float(Fraction(product) + zero_point))


def tflite_float64(acc: int, multiplier: float) -> int:
    return FRACTION["half_away"](Fraction(float(Fraction(acc) * Fraction(multiplier))))


SCALAR: Mapping[str, Callable[..., int]] = {
    "requantize_tflite": tflite,
    "requantize_tflite_single": tflite_single,
    "requantize_tflite_int64": tflite_int64,
    "requantize_cmsis_nn": cmsis_nn,
    "requantize_cmsis_nn_single": tflite_single,
    "requantize_tosa": tosa,
    "requantize_xnnpack_fp32": in_float32,
    "requantize_xnnpack_rndnu": xnnpack_rndnu,
    "requantize_nvdla": nvdla,
    "requantize_gemmini": gemmini,
    "requantize_max7800x": max7800x,
    "requantize_pulp": pulp,
    "requantize_nemo": nemo,
    "requantize_nngen": nngen,
    "requantize_tflite_float64": tflite_float64,
}
"""The requantizers whose zero point, if they have one, comes after the rounding."""

WITH_ZERO_POINT = frozenset(SCALAR) - {
    "requantize_nvdla",
    "requantize_gemmini",
    "requantize_max7800x",
    "requantize_nemo",
    "requantize_nngen",
}


def parameters(op: str, rng: np.random.Generator, channels: int) -> dict[str, Any]:
    """Random parameters [channels] that put every int32 (int48) accumulator into the domain."""

    def between(low: int, high: int) -> Any:
        return rng.integers(low, high, channels, endpoint=True)

    def real(low: float, high: float) -> Any:
        return (2.0 ** rng.uniform(low, high, channels)).astype(np.float32)

    def first(values: Any, *boundaries: int) -> Any:
        values[: len(boundaries)] = boundaries[: len(values)]
        return values

    mantissa = first(between(2**30, 2**31 - 1), *cases.MANTISSAS)
    chosen: Mapping[str, Callable[[], dict[str, Any]]] = {
        "requantize_tflite": lambda: {
            "multiplier": first(between(-(2**31), 2**31 - 1), *cases.SIGNED_MULTIPLIERS),
            "shift": first(between(-31, 30), 0, -31, 30),
        },
        "requantize_tflite_single": lambda: {"multiplier": mantissa, "shift": between(-31, 0)},
        "requantize_tflite_int64": lambda: {"multiplier": mantissa, "shift": between(-31, -16)},
        "requantize_cmsis_nn": lambda: {"multiplier": between(1 - 2**31, 2**31 - 1), "shift": between(-31, 30)},
        "requantize_cmsis_nn_single": lambda: {"multiplier": mantissa, "shift": between(-31, 0)},
        "requantize_tosa": lambda: {
            "multiplier": mantissa,
            "shift": first(between(32, 62), 32, 33, 62),
            "double_rounding": bool(rng.integers(2)),
            "input_zero_point": int(rng.integers(2)),
        },
        "requantize_xnnpack_fp32": lambda: {"multiplier": real(-31.9, 7.9)},
        "requantize_xnnpack_rndnu": lambda: {"multiplier": real(-31.9, -0.1)},
        "requantize_nvdla": lambda: {
            "multiplier": between(-(2**15), 2**15 - 1),
            "shift": between(0, 63),
            "offset": between(-(2**31), 2**31 - 1),
        },
        "requantize_gemmini": lambda: {"multiplier": real(-40, 10)},
        "requantize_max7800x": lambda: {"output_shift": between(-15, 15), "bias": between(-128, 127)},
        "requantize_pulp": lambda: {
            "multiplier": between(-(2**31), 2**31 - 1) >> between(0, 31),
            "addend": between(-(2**31), 2**31 - 1),
            "shift": between(0, 31),
            "rounding": ("half_up", "floor")[rng.integers(2)],
            "input_offset": int(rng.integers(-(2**31), 2**31)),
        },
        "requantize_nemo": lambda: {
            "multiplier": between(-(2**31), 2**31),
            "divisor": 1 + (between(0, 2**62 - 1) >> between(0, 61)),
        },
        "requantize_nngen": lambda: {
            "sum_shift": between(0, 62),
            "bias": between(-(2**31), 2**31 - 1),
            "scale": between(-(2**31) + 1, 2**31 - 1) >> between(0, 30),
            "out_shift": between(0, 62),
        },
        "requantize_tflite_float64": lambda: {"multiplier": 2.0 ** rng.uniform(-40, -0.1, channels)},
    }
    return chosen[op]()


def accumulators(op: str, rng: np.random.Generator, channels: int, count: int) -> np.ndarray[Any, np.dtype[Any]]:
    """int[channels, count]: random over every magnitude, and the boundaries: the corners on every channel, a third of
    the rest from the other boundaries and sums of two of them, of which every channel has others."""
    bits = 48 if op == "requantize_tflite_int64" else 32
    low, high = cases.INT48 if bits == 48 else cases.INT32
    low += op == "requantize_tosa"  # that much room for its input zero point
    small = bits - 1 - (op == "requantize_tosa")
    values = rng.integers(-(2**small), 2**small, (channels, count)) >> rng.integers(0, bits, (channels, count))
    corners = cases.corners(low, high)[:count]
    values[:, : len(corners)] = corners
    more = (count - len(corners)) // 3
    if more:
        rows = cases.integers(low, high) + cases.pair_sums(200, low, high, seed=len(op))
        values[:, -more:] = np.resize(rows, (channels, more))
    return values.astype(np.int32 if bits == 32 else np.int64)
