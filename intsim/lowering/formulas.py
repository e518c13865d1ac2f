"""What a layer computes, as a formula with its numbers; a number that differs by channel stands as least…greatest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from intsim.lowering.lowered import MAC_LAYERS, Layer
from intsim.summation import PLAIN

Parameters = Mapping[str, Any]


def formula(layer: Layer) -> str:
    """The formula of a layer that adds up or rounds, before the clip to its format; "" for other layers."""
    write = FORMULAS.get(layer.op)
    return "" if write is None else write(layer.parameters)


def number(value: Any) -> str:
    """An integer in digits, a float in as many as tell it apart; least…greatest of an array."""
    values = np.unique(np.atleast_1d(value))
    texts = [str(int(v)) if values.dtype.kind in "iu" else str(v) for v in values[[0, -1]]]
    return texts[0] if len(values) == 1 else f"{texts[0]}…{texts[1]}"


def plus(value: Any) -> str:
    """The text that adds a number, nothing for zero."""
    if not np.any(value):
        return ""
    values = np.atleast_1d(value)
    if len(values) == 1 and values[0] < 0:
        return f" - {number(-values)}"
    return f" + {number(value)}"


def centred(name: str, zero: Any) -> str:
    """A code less its zero point."""
    return name if not np.any(zero) else f"({name}{plus(-np.asarray(zero))})"


def power(shift: Any) -> str:
    """2**shift, where shift differs by channel with both ends."""
    return f"2**{number(shift)}"


def quotient(rounding: str, term: str, shift: Any) -> str:
    """The term over 2**shift, rounded; shifts of zero or less are exact."""
    amounts = np.atleast_1d(shift)
    if (amounts == 0).all():
        return term
    if (amounts < 0).all():
        return f"({term} << {number(-amounts)})"
    return f"{rounding}({term} / {power(shift)})"


def _shift(p: Parameters) -> str:
    return quotient(p["rounding"], "acc", p["shift"]) + plus(p.get("zero_point", 0))


def _double_rounding(p: Parameters) -> str:
    left, right = np.maximum(p["shift"], 0), np.maximum(-np.asarray(p["shift"]), 0)
    shifted = f"(acc << {number(left)})" if np.any(left) else "acc"
    high = f"half_up({shifted} * {number(p['multiplier'])} / 2**31)"
    return (f"half_away({high} / {power(right)})" if np.any(right) else high) + plus(p["zero_point"])


def _single_rounding(p: Parameters) -> str:
    over = power(31 - np.asarray(p["shift"]))
    return f"half_up(acc * {number(p['multiplier'])} / {over}){plus(p['zero_point'])}"


def _cmsis_nn_single(p: Parameters) -> str:
    over = power(30 - np.asarray(p["shift"]))
    return f"half_up(floor(acc * {number(p['multiplier'])} / {over}) / 2){plus(p['zero_point'])}"


def _int64(p: Parameters) -> str:
    reduced = np.minimum((np.asarray(p["multiplier"], np.int64) + (1 << 15)) >> 16, (1 << 15) - 1)
    return f"half_up(acc * {number(reduced)} / {power(15 - np.asarray(p['shift']))}){plus(p['zero_point'])}"


def _tosa(p: Parameters) -> str:
    v = centred("acc", p["input_zero_point"])
    shift = np.asarray(p["shift"])
    nudge = " ± 2**30" if p["double_rounding"] and (shift > 31).any() else ""
    return f"half_up(({v} * {number(p['multiplier'])}{nudge}) / {power(shift)}){plus(p['zero_point'])}"


def _float32(p: Parameters) -> str:
    return f"half_even(float32(acc) * {number(p['multiplier'])}){plus(p.get('zero_point', 0))}"


def _rndnu(p: Parameters) -> str:
    fraction, exponent = np.frexp(p["multiplier"])
    m, n = np.ldexp(fraction, 24).astype(np.int64), 24 - exponent.astype(np.int64)
    return f"half_up(acc * {number(m)} / {power(n)}){plus(p['zero_point'])}"


def _pulp(p: Parameters) -> str:
    product = f"acc * {number(p['multiplier'])}{plus(p.get('addend', 0))}"
    return f"{p['rounding']}(wrap32({product}) / {power(p['shift'])}){plus(p['zero_point'])}"


def _max7800x(p: Parameters) -> str:
    bias = p.get("bias", 0)
    total = f"(acc + ({number(bias)} << 7))" if np.any(bias) else "acc"
    return quotient("half_up", total, 7 - np.asarray(p["output_shift"]))


def _sum(sign: str) -> Callable[[Parameters], str]:
    def write(p: Parameters) -> str:
        parts = []
        for key in "ab":
            term = centred(key, p[f"{key}_zero"])
            parts.append(f"({term} << {p[f'{key}_shift']})" if p[f"{key}_shift"] else term)
        total = f" {sign} ".join(parts)
        return quotient(p["rounding"], f"({total})", p["shift"]) + plus(p["zero_point"])

    return write


def _add_quotient(p: Parameters) -> str:
    a, b = (f"{centred(key, p[f'{key}_zero'])} * {p[f'{key}_factor']}" for key in "ab")
    return f"{p['rounding']}(({a} + {b}) / {p['divisor']}){plus(p['zero_point'])}"


def _mul(p: Parameters) -> str:
    product = f"{centred('a', p['a_zero'])} * {centred('b', p['b_zero'])}"
    return quotient(p["rounding"], product, p["shift"]) + plus(p["zero_point"])


def _add_float32(p: Parameters) -> str:
    ratios = f"fma(a, {p['a_ratio']}, fma(b, {p['b_ratio']}, k))"
    k = f"{p['zero_point']} - fma({p['a_ratio']}, {p['a_zero']}, {p['b_ratio']} * {p['b_zero']})"
    return f"half_even({ratios}), k = {k}"


def _mul_float32(p: Parameters) -> str:
    product = f"{centred('a', p['a_zero'])} * {centred('b', p['b_zero'])}"
    return f"half_even(float32({product}) * {p['ratio']}{plus(p['zero_point'])})"


def _mean(p: Parameters) -> str:
    count = f"count * {power(p['shift'])}" if p["shift"] else "count"
    return f"{p['rounding']}(sum({centred('x', p['x_zero'])}) / ({count})){plus(p['zero_point'])}"


def _mean_float32(p: Parameters) -> str:
    m = f"{p['x_scale']} / ({p['scale']} * count)"
    return f"half_even(float32(sum({centred('x', p['x_zero'])})) * ({m})){plus(p['zero_point'])}"


def _pool_float32(p: Parameters) -> str:
    mean = f"sum({centred('x', p['x_zero'])} * {p['x_scale']}) / count"
    return f"half_even({mean} / {p['scale']}{plus(p['zero_point'])})"


def _pool_quotient(p: Parameters) -> str:
    total = f"sum({centred('x', p['x_zero'])}) * {p['factor']}"
    return f"{p['rounding']}({total} / (count * {p['divisor']})){plus(p['zero_point'])}"


def _mean_xnnpack(p: Parameters) -> str:
    m = number(p["multiplier"])
    return f"half_even(float32(sum(x)) * {m} + ({p['zero_point']} - float32(count * {p['x_zero']}) * {m}))"


def _nngen(p: Parameters) -> str:
    return quotient("half_away", "acc", p["out_shift"])


def _mac(p: Parameters) -> str:
    """The sum of products, and what its adders do with it, in the order in which it happens."""
    s = p.get("summation") or PLAIN
    x, w = ("x", "w") if "strides" in p else ("a", "b")
    zeros = s.offsets if s.offsets is not None else (p.get(f"{x}_zero", 0), p.get(f"{w}_zero", 0))
    product = f"T[{w}, {centred(x, zeros[0])}]" if "table" in p else f"{centred(x, zeros[0])} * {centred(w, zeros[1])}"
    bias = p.get("bias") is not None and bool(np.any(p["bias"]))
    first, last = ("bias + " if bias and s.bias_first else ""), (" + bias" if bias and not s.bias_first else "")
    corrected = " + correction for the zero points" if s.offsets is not None else ""
    constant = plus(p.get("constant", 0))
    verb = {"saturate": "saturates", "wrap": "wraps", "trap": "traps"}
    each = " after every addition" if p["overflow"] == "saturate" and s.clamp == "product" else ""
    steps = [f"{first}sum({product}){corrected}{last}{constant}"]
    if s.order is not None:
        axes = ("channel", "column") if len(s.order) == 2 else ("channel", "row", "column")
        steps.append(f"in the order {', '.join(axes[axis] for axis in s.order)}")
    if s.lanes > 1:
        nodes = "" if s.tree_bits is None else f", whose nodes have {s.tree_bits} bits ({s.tree_overflow})"
        steps.append(f"trees of {s.lanes}{nodes}")
    steps.append(f"{verb[p['overflow']]} in {p['accumulator_bits']} bits{each}")
    if s.channels_per_pass is not None:
        kept = quotient(s.spill_rounding, "acc", s.spill_shift)
        bits = p["accumulator_bits"] if s.spill_bits is None else s.spill_bits
        steps.append(f"every {s.channels_per_pass} channels {kept} is spilled in {bits} bits ({s.spill_overflow})")
    return "; ".join(steps)


def _leaky_relu(p: Parameters) -> str:
    return f"acc if acc >= 0 else {quotient(p['rounding'], 'acc * ' + number(p['slope']), p['shift'])}"


FORMULAS: Mapping[str, Callable[[Parameters], str]] = {
    "requantize": _shift,
    "requantize_float32": _float32,
    "requantize_onnx_reference": lambda p: (
        f"half_even(float64(acc) * {number(p['multiplier'])}{plus(p['zero_point'])})"
    ),
    "requantize_tflite": _double_rounding,
    "requantize_tflite_single": _single_rounding,
    "requantize_tflite_int64": _int64,
    "requantize_tflite_float64": lambda p: (
        f"half_away(float64(acc) * {number(p['multiplier'])}){plus(p['zero_point'])}"
    ),
    "requantize_cmsis_nn": _double_rounding,
    "requantize_cmsis_nn_single": _cmsis_nn_single,
    "requantize_tosa": _tosa,
    "requantize_xnnpack_fp32": _float32,
    "requantize_xnnpack_rndnu": _rndnu,
    "requantize_nvdla": lambda p: f"half_away(acc * {number(p['multiplier'])} / {power(p['shift'])})",
    "requantize_gemmini": _float32,
    "requantize_pulp": _pulp,
    "requantize_max7800x": _max7800x,
    "requantize_nngen": _nngen,
    "leaky_relu": _leaky_relu,
    **dict.fromkeys(MAC_LAYERS, _mac),
    "requantize_quotient": lambda p: f"{p['rounding']}(acc * {p['factor']} / {p['divisor']}){plus(p['zero_point'])}",
    "add": _sum("+"),
    "sub": _sum("-"),
    "mul": _mul,
    "add_float32": _add_float32,
    "mul_float32": _mul_float32,
    "add_quotient": _add_quotient,
    "average_pool": _mean,
    "average_pool_quotient": _pool_quotient,
    "average_pool_float32": _pool_float32,
    "reduce_mean": _mean,
    "reduce_mean_float32": _mean_float32,
    "reduce_mean_xnnpack": _mean_xnnpack,
    "reduce_sum": lambda p: f"sum({centred('x', p['x_zero'])})",
}
"""Op -> its formula. acc: the value that the layer reads."""
