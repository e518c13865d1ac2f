"""Plausible mistakes in the kernels, each of which the comparison with the spec must catch on a small case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kernels.compare import Array, assert_same, codes, f32
from tests.kernels.mutate import mutant

pytestmark = pytest.mark.nojit

RNG = np.random.default_rng(1)
C8: dict[str, Any] = {"bits": 8, "signed": True}
SQUARE = codes(RNG, np.int8, (2, 4, 5, 5))
A, B = codes(RNG, np.int8, (3, 40)), codes(RNG, np.int8, (3, 40))
LEFT, RIGHT = codes(RNG, np.int8, (3, 5)), codes(RNG, np.int8, (5, 4))
SUMS = 5 * np.arange(-300, 300, dtype=np.int32).reshape(2, 3, 100)
REALS = (np.arange(-40, 40, dtype=np.float32) / 4).reshape(2, 40)
TIES = (0.3 * (np.arange(-15, 15) + 0.5)).astype(np.float32).reshape(2, 15)
WINDOWS: dict[str, Any] = {"kernel": (3, 2), "strides": (2, 1), "pads": (1, 0, 0, 1), "dilations": (1, 1)}
CONV: dict[str, Any] = {
    "x_zero": 3,
    "w_zero": np.array([1, 2, 3, 4]),
    "bias": np.array([500, -500, 9, 0]),
    "strides": (2, 1),
    "pads": (1, 0, 2, 1),
    "dilations": (1, 2),
    "groups": 2,
    "accumulator_bits": 15,
    "overflow": "wrap",
}
MATMUL: dict[str, Any] = {"a_zero": 3, "b_zero": np.array([1, 2, 3, 4]), "accumulator_bits": 14, "overflow": "wrap"}
SATURATING = {"overflow": "saturate"}

CASES: dict[str, tuple[tuple[Array, ...], dict[str, Any]]] = {
    "conv": ((SQUARE, codes(RNG, np.int8, (4, 2, 3, 2))), CONV),
    "matmul": ((LEFT, RIGHT), MATMUL),
    "requantize": ((SUMS,), {"shift": np.array([1, 3, -2]), "rounding": "half_up", "zero_point": 5, **C8}),
    "requantize_float32": ((SUMS,), {"multiplier": f32([0.5, 0.25, 0.1]), "zero_point": 5, **C8}),
    "quantize": (
        (REALS,),
        {"scale": np.float32(0.5), "rounding": "half_up", "zero_point": 1, "bits": 5, "signed": True},
    ),
    "quantize_float32": ((TIES,), {"scale": np.float32(0.3), "zero_point": 1, "bits": 5, "signed": True}),
    "dequantize_float32": ((A,), {"scale": np.float32(0.1), "zero_point": 5}),
    "add": ((A, B), {"a_shift": 1, "b_shift": 0, "a_zero": 3, "b_zero": 9, "shift": 1, "rounding": "half_up", **C8}),
    "sub": ((A, B), {"a_shift": 1, "b_shift": 0, "a_zero": 3, "b_zero": 9, "shift": 1, "rounding": "half_up", **C8}),
    "mul": ((A, B), {"a_zero": 3, "b_zero": 9, "shift": 7, "rounding": "half_up", **C8}),
    "add_float32": ((A, B), {"a_ratio": np.float32(0.5), "b_ratio": np.float32(0.25), "a_zero": 3, "b_zero": 9, **C8}),
    "mul_float32": ((A, B), {"ratio": np.float32(0.0078125), "a_zero": 3, "b_zero": 9, "zero_point": 5, **C8}),
    "table": ((A,), {"table": np.arange(768).reshape(3, 256), "low": -128, "axis": 0}),
    "clip": ((A,), {"low": -5, "high": 90}),
    "max_pool": ((SQUARE,), WINDOWS),
    "average_pool": ((SQUARE,), {**WINDOWS, "x_zero": 3, "shift": 0, "rounding": "half_up", **C8}),
    "average_pool_float32": (
        (SQUARE,),
        {**WINDOWS, "x_zero": 3, "x_scale": np.float32(0.5), "scale": np.float32(0.4), **C8},
    ),
    "reduce_mean": (
        (SQUARE,),
        {"axes": (2, 3), "keepdims": True, "x_zero": 3, "shift": -2, "rounding": "half_up", **C8},
    ),
    "transpose": ((SQUARE,), {"perm": (0, 2, 3, 1)}),
    "concat": ((SQUARE, SQUARE[:, :1]), {"axis": 1}),
    "slice": ((SQUARE,), {"starts": (0, 1), "ends": (2, 9), "axes": (1, 3), "steps": (1, 2)}),
    "pad": ((SQUARE,), {"pads": (0, 0, 1, 2, 0, 0, 3, 4), "mode": "constant", "value": 7}),
}

# op, changes of its case, module, text, what stands there instead
MUTANTS: list[tuple[str, dict[str, Any], str, str, str]] = [
    # rounding: floor for half_up, other ties, a lost rounding constant, a logical for an arithmetic shift
    ("requantize", {}, "rounding", '"half_up": (half, 0, 0)', '"half_up": (0, 0, 0)'),
    ("requantize", {}, "rounding", '"half_up": (half, 0, 0)', '"half_up": (half - 1, 0, 0)'),
    ("requantize", {"rounding": "half_even"}, "rounding", "(half - 1, 0, 1)", "(half, 0, 0)"),
    ("requantize", {"rounding": "half_away"}, "rounding", "(half, -1, 0)", "(half, 0, 0)"),
    ("requantize", {"rounding": "toward_zero"}, "rounding", "(0, most, 0)", "(0, 0, 0)"),
    ("requantize", {}, "rounding", "half, most = 1 << (shift - 1)", "half, most = 1 << shift"),
    ("requantize", {}, "requantize", "(v << up) + zero", "(v << up)"),
    ("requantize", {}, "requantize", "np.maximum(-shifts, 0)", "np.maximum(-shifts, 0) * 0"),
    ("requantize", {}, "requantize", "low if v < least else", "low + 1 if v < least else"),
    ("requantize", {"narrow": True}, "saturate", "-high - 1 + narrow", "-high - 1"),
    ("requantize", {}, "requantize", "c = row % right.shape[0]", "c = row // right.shape[0]"),
    (
        "reduce_mean",
        {"axes": (1,), "shift": 0},
        "rounding",
        "    if rule == 0:\n        return floor + 1",
        "    if rule == 0:\n        return floor",
    ),
    ("reduce_mean", {}, "rounding", "return floor + (remainder > to_next)", "return floor"),
    ("reduce_mean", {}, "reduce_mean", "np.int64(x[row, i]) - x_zero", "np.int64(x[row, i])"),
    ("reduce_mean", {"axes": (1, 2)}, "reduce_mean", "x.transpose(*kept, *axes)", "x.transpose(*axes, *kept)"),
    # the accumulator: wrap for saturate and the other way round, a wrong width, order, bias, zero points
    ("conv", SATURATING, "mac", "acc[i] = clamp(total, low, high)", "acc[i] = total"),
    ("conv", SATURATING, "conv", 'ordered = overflow == "saturate" and check', "ordered = False"),
    ("conv", {}, "conv", 'ordered = overflow == "saturate" and check', "ordered = True"),
    ("conv", SATURATING, "mac", "clamped[i] |= acc[i] != total", "clamped[i] = acc[i] != total"),
    ("conv", {}, "conv", "wrap(total, bits)", "min(max(total, low), high)"),
    ("conv", {}, "saturate", "np.int64(64) - bits", "np.int64(63) - bits"),
    ("conv", {}, "conv", "total < low or total > high", "total > high"),
    ("conv", {}, "conv", "np.int64(acc[y * pitch + x]) + bias[o]", "np.int64(acc[y * pitch + x])"),
    ("conv", {}, "conv", "centre(w, zeros.reshape(-1, 1, 1, 1), dtype)", "centre(w, 0, dtype)"),
    ("conv", {}, "conv", "left + j * strides[1]]) - zero", "left + j * strides[1]])"),
    # the geometry: a pad shifted by one, padding that supplies the code 0, swapped axes, the wrong group
    ("conv", {}, "conv", "phases[p, 0] - pads[0]", "phases[p, 0] - pads[0] - 1"),
    ("conv", {}, "conv", "left = phases[p, 1] - pads[1]", "left = phases[p, 1] - pads[1] + 1"),
    ("conv", {}, "conv", "line[:] = 0", "line[:] = -zero"),
    ("conv", {}, "conv", "y = i * strides[0]", "y = i * strides[1]"),
    ("conv", {}, "conv", "for i in range(w[2]) for j in range(w[3])]", "for j in range(w[3]) for i in range(w[2])]"),
    ("conv", {}, "conv", "i * dilations[0], j * dilations[1]", "i * dilations[1], j * dilations[0]"),
    ("conv", {}, "conv", "(outputs // groups, x.shape[1]", "(outputs, x.shape[1]"),
    ("conv", {}, "mac", "+ w2 * x2[i] + w3 * x3[i]", "+ w2 * x2[i] + w3 * x2[i]"),
    ("matmul", {}, "mac", "for k in range(whole, weights.shape[0])", "for k in range(whole + 1, weights.shape[0])"),
    ("matmul", {}, "matmul", "weights = centre(a, a_zero, dtype)", "weights = centre(a, 0, dtype)"),
    ("matmul", {}, "matmul", "np.arange(terms, dtype=np.int64) * columns", "np.arange(terms, dtype=np.int64)"),
    ("matmul", SATURATING, "mac", "for k in range(weights.shape[0]):", "for k in range(weights.shape[0] - 1, -1, -1):"),
    ("max_pool", {}, "max_pool", "left = k * dilations[1] - begins[1]", "left = k * dilations[1] - begins[1] - 1"),
    ("max_pool", {}, "max_pool", "- begins[0]", "- begins[1]"),
    ("max_pool", {}, "max_pool", "np.iinfo(x.dtype).min", "-1"),
    ("max_pool", {"ceil_mode": True}, "windows", "-(-room // stride) if ceil_mode", "room // stride if ceil_mode"),
    ("average_pool", {"count_include_pad": True}, "windows", "if include_pad else", "if not include_pad else"),
    ("average_pool", {}, "average_pool", "rows[i] * columns[j] << down", "rows[i] * columns[i] << down"),
    ("average_pool_float32", {"count_include_pad": True}, "average_pool_float32", "if count_include_pad:", "if False:"),
    ("average_pool_float32", {}, "saturate", "whole = np.rint(f)", "whole = f"),
    # float32: a tie rule, the place of the zero point, an fma that is none, swapped operands
    ("requantize_float32", {}, "requantize_float32", "np.rint(scaled)", "np.floor(scaled + np.float32(0.5))"),
    (
        "requantize_float32",
        {},
        "requantize_float32",
        "np.int64(np.rint(scaled)) + zero",
        "np.int64(np.rint(scaled + zero))",
    ),
    (
        "requantize_float32",
        {},
        "saturate",
        "(high - zeros).astype(np.float32)",
        "(high + 0 * zeros).astype(np.float32)",
    ),
    ("quantize_float32", {}, "quantize_float32", "np.rint(", "np.trunc("),
    ("quantize_float32", {}, "quantize_float32", "r[row, i] / scale", "r[row, i] * (np.float32(1) / scale)"),
    ("quantize", {}, "quantize", "mantissa << apart", "mantissa << (apart - 1)"),
    ("quantize", {}, "quantize", "-mantissa if bits < 0 else mantissa", "mantissa"),
    ("dequantize_float32", {}, "dequantize_float32", "np.int64(x[row, i]) - zero", "np.int64(x[row, i])"),
    (
        "mul_float32",
        {},
        "mul_float32",
        "round_saturate(scaled + zero, low, high)",
        "round_saturate(np.rint(scaled) + zero, low, high)",
    ),
    ("add_float32", {}, "add_float32", "b_ratio * np.float32(b_zero))", "a_ratio * np.float32(b_zero))"),
    ("add_float32", {}, "add_float32", "fma(np.float32(b[i]), b_ratio, k)", "fma(np.float32(b[i]), a_ratio, k)"),
    ("add_float32", {"a_ratio": np.float32(2)}, "add_float32", "round_saturate(total, low, high)", "np.rint(total)"),
    ("add_float32", {"a_ratio": np.float32(2)}, "saturate", "clamp(whole, low, high)", "whole"),
    # elementwise and movement
    ("add", {}, "add", "factors = (1 << a_shift, sign << b_shift)", "factors = (1 << b_shift, sign << a_shift)"),
    ("add", {}, "add", "np.int64(b[i]) - zeros[1]", "np.int64(b[i]) - zeros[0]"),
    ("sub", {}, "sub", "-1, pool)", "1, pool)"),
    ("mul", {}, "mul", "np.int64(b[i]) - b_zero", "np.int64(b[i])"),
    ("table", {}, "table", "row % tables.shape[0]", "0"),
    ("table", {}, "table", "np.int64(x[row, i]) - low", "np.int64(x[row, i])"),
    ("clip", {}, "clip", "min(high, int(info.max))", "int(info.max)"),
    ("transpose", {}, "transpose", "x.transpose(perm)", "x.transpose(perm[::-1])"),
    ("concat", {}, "concat", "np.concatenate(xs, axis=axis)", "np.concatenate(xs[::-1], axis=axis)"),
    ("slice", {}, "slice", "min(max(stop, 0), length), step)", "min(max(stop, 0), length), 1)"),
    ("pad", {}, "pad", "before, after = pads[: x.ndim], pads[x.ndim :]", "before, after = pads[::2], pads[1::2]"),
    ("pad", {}, "pad", "x.dtype.type(value)", "0"),
]


@pytest.mark.parametrize(("op", "changes", "module", "old", "new"), MUTANTS)
def test_caught(op: str, changes: dict[str, Any], module: str, old: str, new: str, tmp_path: Path) -> None:
    xs, parameters = CASES[op]
    parameters = {**parameters, **changes}
    assert_same(op, *xs, **parameters, under_test=mutant(tmp_path, op, module, old, old))
    with np.errstate(all="ignore"), pytest.raises((AssertionError, IndexError, OverflowError)):
        assert_same(op, *xs, **parameters, under_test=mutant(tmp_path, op, module, old, new))
