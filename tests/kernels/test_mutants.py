"""Plausible mistakes in the kernels, each of which the comparison with the spec must catch on a small case.

They are planted into the plain Python that kernels are with NUMBA_DISABLE_JIT=1, in the second part of the suite.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from numba import config

from intsim.summation import Summation
from tests.kernels.compare import Array, assert_same, codes, f32
from tests.mutants import plant

pytestmark = [
    pytest.mark.nojit,
    pytest.mark.skipif(not config.DISABLE_JIT, reason="mistakes are planted in plain Python"),
]

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
EACH: dict[str, Any] = {
    "overflow": "saturate",
    "constant": 37,
    "bias": np.array([9000, -9000, 20000, 0]),
    "summation": Summation(
        order=(2, 0, 1),
        lanes=3,
        tree_bits=14,
        tree_overflow="saturate",
        channels_per_pass=1,
        spill_bits=9,
        spill_shift=5,
        bias_first=True,
        offsets=(-1, 2),
    ),
}
AT_END: dict[str, Any] = {
    "overflow": "saturate",
    "accumulator_bits": 13,
    "summation": Summation(clamp="end", channels_per_pass=1, spill_bits=12, spill_shift=1, offsets=(60, 0)),
}
MATMUL_EACH: dict[str, Any] = {
    "overflow": "saturate",
    "bias": np.array([5, -600, 20000, 0]),
    "summation": Summation(channels_per_pass=2, spill_bits=9, spill_shift=5, bias_first=True, offsets=(-1, 2)),
}

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
    ("requantize", {}, "rounding", "1 << (shift - 1)", "1 << shift"),
    ("requantize", {}, "requantize", "(v << up) + zero", "(v << up)"),
    ("requantize", {}, "requantize", "np.maximum(-shifts, 0)", "np.maximum(-shifts, 0) * 0"),
    (
        "requantize",
        {},
        "requantize",
        "low if v < least else high if v > most else (v << up) + zero",
        "high if v > most else (v << up) + zero",
    ),
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
    ("conv", SATURATING, "lanes", "np.clip(total, ends[0], ends[1])", "total"),
    ("conv", SATURATING, "lanes", "moved[m, place] |= total != acc", "moved[m, place] = total != acc"),
    ("conv", SATURATING, "conv", "rule = EXACT if never else how", "rule = EXACT"),
    ("conv", SATURATING, "conv", "min(before - low, high - before) // most", "max(before - low, high - before)"),
    ("conv", SATURATING, "conv", "weights[last]", "weights[o]"),
    ("conv", SATURATING, "conv", "n * image_size + g * group_size", "n * image_size"),
    ("conv", SATURATING, "accumulate", 'return check and overflow == "saturate"', "return False"),
    ("conv", {}, "conv", "wrap(total, bits)", "min(max(total, low), high)"),
    ("conv", {}, "saturate", "np.int64(64) - bits", "np.int64(63) - bits"),
    ("conv", {}, "conv", "total < low or total > high", "total > high"),
    ("conv", {}, "conv", "np.int64(acc[y * pitch + x]) + bias[o]", "np.int64(acc[y * pitch + x])"),
    ("conv", {}, "conv", "w_offset.reshape(-1, 1, 1, 1)", "0"),
    (
        "conv",
        {},
        "conv",
        "np.int64(x[row, y, left + j * strides[1]]) - zero",
        "np.int64(x[row, y, left + j * strides[1]])",
    ),
    # the geometry: a pad shifted by one, padding that supplies the code 0, swapped axes, the wrong group
    ("conv", {}, "conv", "i * strides[0] + phases[p, 0] - pads[0]", "i * strides[0] + phases[p, 0] - pads[0] - 1"),
    ("conv", {}, "conv", "left = phases[p, 1] - pads[1]", "left = phases[p, 1] - pads[1] + 1"),
    ("conv", {}, "conv", "line[:] = outside", "line[:] = -zero"),
    ("conv", {}, "conv", "i * strides[0] + phases[p, 0] - pads[0]", "i * strides[1] + phases[p, 0] - pads[0]"),
    (
        "conv",
        {},
        "conv",
        "[(i * dilations[0], j * dilations[1]) for i in range(w[2]) for j in range(w[3])]",
        "[(i * dilations[0], j * dilations[1]) for j in range(w[3]) for i in range(w[2])]",
    ),
    ("conv", {}, "conv", "i * dilations[0], j * dilations[1]", "i * dilations[1], j * dilations[0]"),
    (
        "conv",
        {},
        "conv",
        "(outputs // groups, x.shape[1] // groups * len(phases) * prod(plane))",
        "(outputs, x.shape[1] // groups * len(phases) * prod(plane))",
    ),
    ("conv", {}, "mac", "w3 * x3[i]", "w3 * x2[i]"),
    ("matmul", {}, "mac", "acc[i] += w0 * x0[i]\n\n", "acc[i] += w0 * x0[0]\n\n"),
    ("matmul", {}, "matmul", "weights = centre(a, a_offset, dtype)", "weights = centre(a, 0, dtype)"),
    ("matmul", {}, "matmul", "np.arange(terms, dtype=np.int64) * columns", "np.arange(terms, dtype=np.int64)"),
    ("matmul", SATURATING, "mac", "total = lane(acc[i] + lane(w0 * x0[i]))", "total = lane(acc[i] - lane(w0 * x0[i]))"),
    ("matmul", SATURATING, "mac", "acc0 = clamp(sum0, least, most)", "acc0 = sum0"),
    ("matmul", SATURATING, "mac", "moved[i] |= total ^ acc[i]", "moved[i] = total ^ acc[i]"),
    (
        "matmul",
        {**SATURATING, "bias": 60000, "accumulator_bits": 17},
        "matmul",
        "flags[j] != 0 or value != total or last != value + constant[first + j]",
        "flags[j] != 0 or last != value + constant[first + j]",
    ),
    # the walk: order, tree, spills, correction, bias and constant
    ("conv", EACH, "accumulate", "index[c : c + size].transpose(order)", "index[c : c + size]"),
    ("conv", EACH, "accumulate", "range(0, lengths[0], size)", "range(0, lengths[0], size + 1)"),
    ("conv", EACH, "accumulate", "min(walk.lanes, walk.ends[number] - k)", "walk.lanes - 1"),
    ("conv", EACH, "accumulate", "node = hold(total, walk.holds[1]) if walk.tree else total", "node = total"),
    ("conv", EACH, "accumulate", "nodes[2 * j, i] + nodes[2 * j + 1, i]", "nodes[j, i] + nodes[count + j, i]"),
    ("conv", EACH, "accumulate", "events[i] |= TREE", "events[i] |= SPILL"),
    ("conv", EACH, "accumulate", "events[i] |= SPILL", "events[i] |= TREE"),
    ("conv", EACH, "accumulate", "shift_right(held, shift, always, negative, odd)", "held >> shift"),
    ("conv", EACH, "accumulate", "spilled = hold(rounded, walk.holds[2])", "spilled = rounded"),
    ("conv", EACH, "accumulate", "back = spilled << shift", "back = spilled << (shift - 1)"),
    ("conv", EACH, "accumulate", "acc[i] = hold(total, walk.holds[0]) if walk.each else total", "acc[i] = total"),
    ("conv", EACH, "accumulate", "total = held if walk.first else held + bias", "total = held + bias"),
    ("conv", EACH, "accumulate", "total = held + constant", "total = held"),
    ("conv", EACH, "accumulate", "total = held + correction", "total = held"),
    ("conv", EACH, "conv", "prod(w.shape[1:]) * dx * dw", "0"),
    ("conv", EACH, "conv", "acc[:] = before", "acc[:] = 0"),
    ("conv", AT_END, "accumulate", "held = hold(acc[i], walk.holds[0])", "held = acc[i]"),
    ("conv", AT_END, "accumulate", "held = hold(acc, walk.holds[0])", "held = acc"),
    ("conv", {**SATURATING, "summation": Summation(clamp="end")}, "accumulate", 'summation.clamp == "product"', "True"),
    ("matmul", MATMUL_EACH, "matmul", "b.shape[-2] * da * db", "0"),
    ("matmul", MATMUL_EACH, "matmul", "acc[j] = before", "acc[j] = 0"),
    ("matmul", MATMUL_EACH, "accumulate", "np.array(ends, np.int64)", "np.array(ends[-1:], np.int64)"),
    ("max_pool", {}, "max_pool", "left = k * dilations[1] - begins[1]", "left = k * dilations[1] - begins[1] - 1"),
    (
        "max_pool",
        {},
        "max_pool",
        "i * strides[0] + k * dilations[0] - begins[0]",
        "i * strides[0] + k * dilations[0] - begins[1]",
    ),
    ("max_pool", {}, "max_pool", "np.iinfo(x.dtype).min", "-1"),
    ("max_pool", {"ceil_mode": True}, "windows", "-(-room // stride)", "room // stride"),
    (
        "average_pool",
        {"count_include_pad": True},
        "windows",
        "(-self.begins[d], self.image[d] + self.ends[d]) if include_pad else (0, self.image[d])",
        "(0, self.image[d]) if include_pad else (-self.begins[d], self.image[d] + self.ends[d])",
    ),
    ("average_pool", {}, "average_pool", "rows[i] * columns[j] * divisor", "rows[i] * columns[i] * divisor"),
    ("average_pool_float32", {"count_include_pad": True}, "average_pool_float32", "count_include_pad", "False"),
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
    ("quantize_float32", {}, "quantize_float32", "np.rint", "np.trunc"),
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
    ("add_float32", {}, "add_float32", "b_ratio * np.float32(b_zero)", "a_ratio * np.float32(b_zero)"),
    ("add_float32", {}, "add_float32", "fma(np.float32(b[i]), b_ratio, k)", "fma(np.float32(b[i]), a_ratio, k)"),
    ("add_float32", {"a_ratio": np.float32(2)}, "add_float32", "round_saturate(total, low, high)", "np.rint(total)"),
    ("add_float32", {"a_ratio": np.float32(2)}, "saturate", "clamp(whole, low, high)", "whole"),
    # elementwise and movement
    ("add", {}, "add", "(1 << a_shift, sign << b_shift)", "(1 << b_shift, sign << a_shift)"),
    ("add", {}, "add", "np.int64(b[i]) - zeros[1]", "np.int64(b[i]) - zeros[0]"),
    (
        "sub",
        {},
        "sub",
        "aligned_sum(a, b, a_shift, b_shift, a_zero, b_zero, -1, pool)",
        "aligned_sum(a, b, a_shift, b_shift, a_zero, b_zero, 1, pool)",
    ),
    ("mul", {}, "mul", "np.int64(b[i]) - b_zero", "np.int64(b[i])"),
    ("table", {}, "table", "row % tables.shape[0]", "0"),
    ("table", {}, "table", "np.int64(x[row, i]) - low", "np.int64(x[row, i])"),
    ("clip", {}, "clip", "min(high, int(info.max))", "int(info.max)"),
    ("transpose", {}, "transpose", "x.transpose(perm)", "x.transpose(perm[::-1])"),
    ("concat", {}, "concat", "np.concatenate(xs, axis=axis)", "np.concatenate(xs[::-1], axis=axis)"),
    (
        "slice",
        {},
        "slice",
        "builtins.slice(min(max(first, 0), length), min(max(stop, 0), length), step)",
        "builtins.slice(min(max(first, 0), length), min(max(stop, 0), length), 1)",
    ),
    ("pad", {}, "pad", "before, after = pads[: x.ndim], pads[x.ndim :]", "before, after = pads[::2], pads[1::2]"),
    ("pad", {}, "pad", "x.dtype.type(value)", "0"),
]


@pytest.mark.parametrize(("op", "changes", "module", "old", "new"), MUTANTS)
def test_caught(
    op: str, changes: dict[str, Any], module: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    xs, parameters = CASES[op]
    parameters = {**parameters, **changes}
    assert_same(op, *xs, **parameters)
    plant(monkeypatch, import_module(f"intsim.kernels.{module}"), old, new)
    with np.errstate(all="ignore"), pytest.raises((AssertionError, IndexError, OverflowError)):
        assert_same(op, *xs, **parameters)


def test_a_mistake_that_cannot_be_planted_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"intsim\.kernels\.clip has no 'low - 1'"):
        plant(monkeypatch, import_module("intsim.kernels.clip"), "low - 1", "low")
