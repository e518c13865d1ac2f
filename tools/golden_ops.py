"""The golden cases of single ops: stimulus and arguments, as data. `record_golden.py ops` records what the spec makes.

Stimulus comes from a fixed formula, no generator, so that recording again gives the same files on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from intsim.formats import Format
from intsim.levels import Levels, product_table
from tests.cases import (
    GOLDEN_EIGHTHS,
    GOLDEN_ENDS,
    GOLDEN_LIMITS,
    GOLDEN_MANTISSA,
    GOLDEN_NEXT_TO_TIES,
    GOLDEN_SLOPED,
    GOLDEN_TIES,
    GOLDEN_TIES_OF_3_TENTHS,
)

Array = np.ndarray[Any, Any]

I8, U8, I4, I16, I32 = Format(8), Format(8, False), Format(4), Format(16), Format(32)
SIGNED: Mapping[str, Any] = {"bits": 8, "signed": True}
UNSIGNED: Mapping[str, Any] = {"bits": 8, "signed": False}


@dataclass(frozen=True)
class Stimulus:
    """One tensor argument: its array, and its Format (None: float32 reals)."""

    array: Array
    format: Format | None


@dataclass(frozen=True)
class OpCall:
    """One call of a spec function: what it is called with, and the Format of its result (None: float32 reals).

    An accumulator's is that of the dtype in which it is kept; how wide it is stands in the parameters.

    arrays: arguments that are arrays. parameters: the others. All are keywords of the function.
    """

    op: str
    name: str
    operands: Mapping[str, Stimulus]
    result: Format | None
    parameters: Mapping[str, Any]
    arrays: Mapping[str, Stimulus] = field(default_factory=dict)


def codes(shape: tuple[int, ...], format: Format, seed: int) -> Stimulus:
    """Codes spread over the whole format, its ends first: the top bits of a linear congruential sequence."""
    count = int(np.prod(shape))
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(6364136223846793005)
    state += np.uint64(seed * 1442695040888963407 % 2**64)
    state ^= state >> np.uint64(29)
    state *= np.uint64(0xBF58476D1CE4E5B9)
    values = (state >> np.uint64(33)).astype(np.int64) % (format.high - format.low + 1) + format.low
    values[: min(2, count)] = (format.low, format.high)[: min(2, count)]
    return Stimulus(values.reshape(shape).astype(format.dtype), format)


def every_code(format: Format) -> Stimulus:
    """All codes of a format, [1, codes]."""
    return Stimulus(np.arange(format.low, format.high + 1, dtype=format.dtype)[None], format)


def every_pair(format: Format) -> tuple[Stimulus, Stimulus]:
    """All pairs of codes of a format, [1, codes * codes] each."""
    line = np.arange(format.low, format.high + 1, dtype=format.dtype)
    return Stimulus(np.repeat(line, line.size)[None], format), Stimulus(np.tile(line, line.size)[None], format)


def sums(values: list[int], channels: int = 1) -> Stimulus:
    """The same accumulators on each of `channels` channels, [1, channels, values]."""
    array = np.broadcast_to(np.array(values, np.int64), (1, channels, len(values)))
    return Stimulus(np.ascontiguousarray(array, np.int32), I32)


def reals(values: Any) -> Stimulus:
    """float32 reals, [1, values]."""
    return Stimulus(np.array(values, np.float32)[None], None)


def integers(*values: int) -> Stimulus:
    """An argument that is an array of integers."""
    return Stimulus(np.array(values, np.int64), Format(64))


def floats(*values: float) -> Stimulus:
    """An argument that is an array of float32."""
    return Stimulus(np.array(values, np.float32), None)


def f32(value: float) -> float:
    """The float32 nearest to a number, exactly, as JSON holds it."""
    return float(np.float32(value))


def cases() -> list[OpCall]:
    """Every golden case, op by op."""
    return [
        *_macs(),
        *_post(),
        *_requantizers(),
        *_boundaries(),
        *_elementwise(),
        *_functions(),
        *_pools(),
        *_movement(),
    ]


def conv_call(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    formats: tuple[Format, Format] = (I8, I8),
    arrays: Mapping[str, Stimulus] | None = None,
    **changes: Any,
) -> OpCall:
    """A convolution of codes of these shapes, with the changes to plain parameters."""
    spatial = len(x) - 2
    parameters: dict[str, Any] = {
        "x_zero": 0,
        "w_zero": 0,
        "strides": (1,) * spatial,
        "pads": (0,) * (2 * spatial),
        "dilations": (1,) * spatial,
        "groups": 1,
        "accumulator_bits": 32,
        "overflow": "wrap",
        **changes,
    }
    for key in arrays or {}:
        parameters.pop(key, None)
    operands = {"x": codes(x, formats[0], 1), "w": codes(w, formats[1], 2)}
    return OpCall(
        "conv", name, operands, Format(32 if parameters["accumulator_bits"] <= 32 else 64), parameters, arrays or {}
    )


def _macs() -> list[OpCall]:
    square, kernel = (2, 4, 6, 5), (6, 4, 3, 3)
    narrow: dict[str, Any] = {"accumulator_bits": 16, "pads": (1, 1, 1, 1)}
    bias = integers(-40000, 30000, 17, 0, -1, 65535)
    matrix: dict[str, Any] = {"a_zero": 0, "b_zero": 0, "accumulator_bits": 32, "overflow": "wrap"}
    rows, columns = codes((3, 17), I8, 3), codes((17, 5), I8, 4)
    column_zeros, column_bias = integers(0, 3, -8, 127, -128), integers(1, -2, 3000, -4000, 5)
    without_zero = {k: v for k, v in matrix.items() if k != "b_zero"}
    return [
        conv_call("plain", square, kernel),
        conv_call("bias_and_zero_points", square, kernel, (U8, I8), {"bias": bias}, x_zero=117, pads=(1, 1, 1, 1)),
        conv_call("weight_zero_per_channel", square, kernel, (U8, U8), {"w_zero": integers(0, 1, 127, 128, 254, 255)}),
        conv_call("asymmetric_pads", square, kernel, x_zero=-7, pads=(0, 2, 1, 0)),
        conv_call("strides", square, kernel, strides=(2, 3), pads=(1, 1, 1, 1)),
        conv_call("dilations", (1, 2, 9, 9), (3, 2, 3, 3), dilations=(2, 3), pads=(2, 3, 2, 3)),
        conv_call("groups", (2, 6, 5, 5), (4, 3, 3, 3), groups=2, pads=(1, 1, 1, 1)),
        conv_call("depthwise", (2, 5, 6, 6), (5, 1, 3, 3), groups=5, pads=(1, 1, 1, 1), x_zero=3),
        conv_call("depthwise_multiplier", (1, 3, 5, 5), (6, 1, 2, 2), groups=3),
        conv_call("one_dimension", (2, 4, 17), (3, 4, 3), strides=(2,), pads=(4, 1), dilations=(3,)),
        conv_call("four_bits", square, kernel, (I4, I4)),
        conv_call("sixteen_bits", (1, 3, 5, 5), (2, 3, 3, 3), (I16, I16), accumulator_bits=48),
        conv_call("wraps", square, kernel, arrays={"bias": bias}, **narrow),
        conv_call("saturates", square, kernel, arrays={"bias": bias}, **{**narrow, "overflow": "saturate"}),
        OpCall("matmul", "plain", {"a": rows, "b": columns}, I32, matrix),
        OpCall(
            "matmul",
            "zero_points_and_bias",
            {"a": rows, "b": columns},
            I32,
            {**without_zero, "a_zero": -128},
            {"b_zero": column_zeros, "bias": column_bias},
        ),
        OpCall("matmul", "batches", {"a": codes((2, 3, 4), U8, 5), "b": codes((2, 4, 5), U8, 6)}, I32, matrix),
        OpCall("matmul", "vector", {"a": codes((17,), I8, 7), "b": columns}, I32, matrix),
        OpCall("matmul", "wraps", {"a": rows, "b": columns}, I32, {**matrix, "accumulator_bits": 15}),
        OpCall(
            "matmul",
            "saturates",
            {"a": rows, "b": columns},
            I32,
            {**matrix, "accumulator_bits": 15, "overflow": "saturate"},
        ),
    ]


def post_codes(shape: tuple[int, ...], bits: int, levels: Levels, seed: int) -> Stimulus:
    """Codes of POST or POT weights, with a zero in the place of each negative zero."""
    drawn = codes(shape, Format(bits, False), seed).array
    return Stimulus(np.where(drawn == 1 << (bits - 1), 0, drawn).astype(np.uint8), Format(bits, False, levels=levels))


def post_conv_case(name: str, bits: int, levels: Levels, x_format: Format = I8, **changes: Any) -> OpCall:
    """A convolution with such weights, its table among the arrays."""
    x_zero = changes.get("x_zero", 0)
    low, high = min(x_format.low - x_zero, 0), max(x_format.high - x_zero, 0)
    table = Stimulus(product_table(levels, bits, low, high).astype(np.int32), I32)
    plain = conv_call(name, (2, 4, 6, 5), (6, 4, 3, 3), (x_format, I8), pads=(1, 1, 1, 1), **changes)
    parameters = {**{k: v for k, v in plain.parameters.items() if k != "w_zero"}, "low": low}
    operands = {"x": plain.operands["x"], "w": post_codes((6, 4, 3, 3), bits, levels, 2)}
    return OpCall("post_conv", name, operands, plain.result, parameters, {"table": table})


def _post() -> list[OpCall]:
    levels = {
        f"{rule}_{variant}": Levels(rule, 4, variant) for rule in ("post", "pot") for variant in ("shared", "full")
    }
    four = levels["post_shared"]
    matrix = {"a_zero": 0, "low": -128, "accumulator_bits": 32, "overflow": "wrap"}
    return [
        *(post_conv_case(f"{name}_{bits}", bits, own) for name, own in levels.items() for bits in (2, 4)),
        post_conv_case("eight_bits", 8, four, I4),
        post_conv_case("no_guard_bits", 4, Levels("post", 0, "shared")),
        post_conv_case("twelve_guard_bits", 4, Levels("post", 12, "full")),
        post_conv_case("zero_point", 4, four, U8, x_zero=117),
        post_conv_case("four_bit_activations", 3, four, I4),
        post_conv_case("wraps", 4, four, accumulator_bits=13),
        post_conv_case("saturates", 4, four, accumulator_bits=13, overflow="saturate"),
        OpCall(
            "post_matmul",
            "plain",
            {"a": codes((3, 17), I8, 3), "b": post_codes((17, 5), 4, four, 4)},
            I32,
            matrix,
            {"table": Stimulus(product_table(four, 4, -128, 127).astype(np.int32), I32)},
        ),
    ]


def _requantizers() -> list[OpCall]:
    ties, limits = {"acc": sums(GOLDEN_TIES)}, {"acc": sums(GOLDEN_LIMITS)}
    rules = ("half_up", "half_down", "half_even", "half_away", "half_to_zero")
    directed = ("floor", "ceil", "toward_zero", "away_from_zero")
    plain = {"shift": 3, "zero_point": 0, "narrow": False, "axis": 1}
    float_ties = {"zero_point": 0, "narrow": False, "axis": 1, "multiplier": 0.125}
    return [
        *(OpCall("requantize", rule, ties, I8, {**plain, "rounding": rule, **SIGNED}) for rule in (*rules, *directed)),
        OpCall("requantize", "saturates", limits, I8, {**plain, "rounding": "half_up", **SIGNED}),
        OpCall("requantize", "unsigned", limits, U8, {**plain, "rounding": "half_up", "zero_point": 100, **UNSIGNED}),
        OpCall(
            "requantize",
            "narrow_range",
            limits,
            Format(8, narrow=True),
            {**plain, "rounding": "half_up", **SIGNED, "narrow": True},
        ),
        OpCall(
            "requantize",
            "shift_to_the_left",
            ties,
            I8,
            {**plain, "rounding": "half_up", "shift": -2, **SIGNED},
        ),
        OpCall("requantize", "no_shift", ties, I8, {**plain, "rounding": "half_up", "shift": 0, **SIGNED}),
        OpCall("requantize", "long_shift", limits, I8, {**plain, "rounding": "half_up", "shift": 31, **SIGNED}),
        OpCall(
            "requantize",
            "per_channel",
            {"acc": sums(GOLDEN_TIES, channels=4)},
            I4,
            {"rounding": "half_up", "bits": 4, "signed": True, "narrow": False, "axis": 1},
            {"shift": integers(3, 4, 0, -1), "zero_point": integers(0, -3, 5, 1)},
        ),
        OpCall("requantize_float32", "ties", ties, I8, {**float_ties, **SIGNED}),
        OpCall("requantize_float32", "odd_zero_point", ties, U8, {**float_ties, "zero_point": 101, **UNSIGNED}),
        OpCall("requantize_float32", "saturates", limits, I8, {**float_ties, "multiplier": f32(0.1), **SIGNED}),
        OpCall(
            "requantize_float32",
            "mantissa",
            {"acc": sums(GOLDEN_MANTISSA)},
            I8,
            {
                **float_ties,
                "multiplier": 90.5 * 2**-24,
                **SIGNED,
            },  # exact, so that 2**24 is a tie and 2**24 + 1 is none
        ),
        OpCall(
            "requantize_float32",
            "per_channel",
            {"acc": sums(GOLDEN_TIES, channels=3)},
            U8,
            {"zero_point": 128, "narrow": False, "axis": 1, **UNSIGNED},
            {"multiplier": floats(0.5, 0.1, 1 / 3)},
        ),
    ]


def _boundaries() -> list[OpCall]:
    ties = reals(GOLDEN_EIGHTHS)
    near = reals(GOLDEN_NEXT_TO_TIES)
    ends = reals(GOLDEN_ENDS)
    scaled = reals(GOLDEN_TIES_OF_3_TENTHS)
    exact = {"scale": 0.25, "zero_point": 0, "narrow": False, "axis": 1}
    channels = Stimulus(np.arange(-24, 24, dtype=np.float32).reshape(1, 3, 16) / np.float32(8), None)
    per_channel = {"scale": floats(0.5, 0.25, 0.3), "zero_point": integers(0, -5, 7)}
    return [
        *(
            OpCall("quantize", rule, {"r": ties}, I8, {**exact, "rounding": rule, **SIGNED})
            for rule in ("half_up", "half_even", "half_away", "floor")
        ),
        OpCall("quantize", "next_to_ties", {"r": near}, I8, {**exact, "scale": 1.0, "rounding": "half_up", **SIGNED}),
        OpCall("quantize", "ends", {"r": ends}, I8, {**exact, "scale": 1.0, "rounding": "half_up", **SIGNED}),
        OpCall(
            "quantize", "any_scale", {"r": scaled}, I8, {**exact, "scale": f32(0.3), "rounding": "half_up", **SIGNED}
        ),
        OpCall("quantize_float32", "ties", {"r": ties}, U8, {**exact, "zero_point": 127, **UNSIGNED}),
        OpCall("quantize_float32", "ends", {"r": ends}, I8, {**exact, "scale": 1.0, **SIGNED}),
        OpCall("quantize_float32", "any_scale", {"r": scaled}, I8, {**exact, "scale": f32(0.3), **SIGNED}),
        OpCall(
            "quantize_float32",
            "per_channel",
            {"r": channels},
            I4,
            {"bits": 4, "signed": True, "narrow": False, "axis": 1},
            {"scale": floats(0.5, 0.25, 0.3), "zero_point": integers(0, -5, 7)},
        ),
        OpCall(
            "dequantize_float32",
            "every_code",
            {"x": every_code(U8)},
            None,
            {"scale": f32(0.1), "zero_point": 128, "axis": 1},
        ),
        OpCall("dequantize_float32", "per_channel", {"x": codes((2, 3, 16), I4, 8)}, None, {"axis": 1}, per_channel),
        OpCall(
            "dequantize_float32",
            "wide_sums",
            {"x": sums(GOLDEN_LIMITS)},
            None,
            {"scale": f32(1e-3), "zero_point": 0, "axis": 1},
        ),
    ]


def _elementwise() -> list[OpCall]:
    a, b = every_pair(Format(5))
    pair = {"a": Stimulus(a.array, I8), "b": Stimulus(b.array, I8)}
    wide = {"a": codes((2, 3, 5, 7), U8, 9), "b": codes((2, 3, 5, 7), U8, 10)}
    broadcast = {"a": codes((2, 3, 5, 7), I8, 11), "b": codes((3, 1, 1), I8, 12)}
    base = {"zero_point": 0, "narrow": False, **SIGNED}
    zeros = {"a_zero": 100, "b_zero": 131, "zero_point": 128}
    aligned = {"a_shift": 0, "b_shift": 2, "a_zero": 0, "b_zero": 0, "shift": 2, "rounding": "half_up", **base}
    shifted = {"a_shift": 1, "b_shift": 0, "shift": -1, "rounding": "half_even", "narrow": False, **zeros, **UNSIGNED}
    product = {"a_zero": 0, "b_zero": 0, "shift": 3, "rounding": "half_up", **base}
    ratios = {"a_ratio": f32(0.1), "b_ratio": f32(0.3), "a_zero": -7, "b_zero": 5, **base}
    factor = {"ratio": 0.125, "a_zero": 1, "b_zero": -1, **base, "zero_point": 3}
    return [
        *(
            case
            for op in ("add", "sub")
            for case in (
                OpCall(op, "aligned", pair, I8, aligned),
                OpCall(op, "shift_to_the_left", wide, U8, shifted),
                OpCall(op, "broadcast", broadcast, I8, {**aligned, "a_zero": 5, "rounding": "half_away"}),
            )
        ),
        OpCall("mul", "ties", pair, I8, product),
        OpCall("mul", "zero_points", wide, U8, {**product, **zeros, **UNSIGNED, "shift": 6}),
        OpCall("mul", "shift_to_the_left", pair, I8, {**product, "shift": -2}),
        OpCall("add_float32", "ties", pair, I8, ratios),
        OpCall(
            "add_float32",
            "saturates",
            wide,
            U8,
            {**ratios, **zeros, "a_ratio": f32(1.7), "b_ratio": f32(2.3), **UNSIGNED},
        ),
        OpCall("mul_float32", "ties", pair, I8, factor),
        OpCall("mul_float32", "saturates", wide, U8, {**factor, **zeros, "ratio": f32(0.05), **UNSIGNED}),
    ]


def _functions() -> list[OpCall]:
    square = np.arange(256, dtype=np.int64) ** 2 // 256 - 128
    rows = np.stack([np.arange(16)[:: (-1) ** c] // (c + 1) - 8 for c in range(3)])
    return [
        OpCall(
            "table",
            "every_code",
            {"x": every_code(I8)},
            I8,
            {"low": -128, "axis": 1},
            {"table": Stimulus(square.astype(np.int8), I8)},
        ),
        OpCall(
            "table",
            "per_channel",
            {"x": codes((2, 3, 16), I4, 13)},
            I4,
            {"low": -8, "axis": 1},
            {"table": Stimulus(rows.astype(np.int8), I4)},
        ),
        *(
            OpCall("leaky_relu", rule, {"x": sums(GOLDEN_SLOPED)}, I32, parameters)
            for rule in ("half_up", "half_even", "half_away")
            for parameters in ({"slope": 3 << 7, "shift": 8, "rounding": rule, "width": 16, "axis": 1},)
        ),
        OpCall("clip", "inside", {"x": every_code(I8)}, I8, {"low": -5, "high": 90}),
        OpCall("clip", "unsigned", {"x": every_code(U8)}, U8, {"low": 128, "high": 255}),
    ]


def _pools() -> list[OpCall]:
    x = {"x": codes((2, 3, 7, 6), U8, 14)}
    signed = {"x": codes((2, 3, 7, 6), I8, 15)}
    line = {"x": codes((2, 3, 11), I8, 16)}
    window = {"kernel": (3, 3), "strides": (2, 2), "pads": (0, 0, 0, 0), "dilations": (1, 1), "ceil_mode": False}
    padded = {**window, "pads": (1, 0, 1, 1)}
    ceil = {**window, "kernel": (2, 2), "ceil_mode": True}
    in_line = {**window, "kernel": (4,), "strides": (3,), "pads": (1, 1), "dilations": (1,)}
    mean = {"x_zero": -3, "shift": 0, "rounding": "half_up", "zero_point": 0, "narrow": False, **SIGNED}
    float_mean = {
        "x_scale": f32(0.1),
        "x_zero": 119,
        "scale": f32(0.07),
        "zero_point": 128,
        "narrow": False,
        **UNSIGNED,
    }
    over = {"axes": (2, 3), "keepdims": True}
    return [
        OpCall("max_pool", "pads", signed, I8, padded),
        OpCall("max_pool", "ceil_mode", x, U8, ceil),
        OpCall(
            "max_pool", "dilations", signed, I8, {**window, "kernel": (2, 2), "strides": (1, 1), "dilations": (2, 3)}
        ),
        OpCall("max_pool", "one_dimension", line, I8, in_line),
        OpCall("average_pool", "pads_left_out", signed, I8, {**padded, "count_include_pad": False, **mean}),
        OpCall("average_pool", "pads_counted", signed, I8, {**padded, "count_include_pad": True, **mean}),
        OpCall("average_pool", "ceil_mode", signed, I8, {**ceil, "count_include_pad": False, **mean}),
        OpCall(
            "average_pool", "other_exponent", signed, I8, {**window, "count_include_pad": False, **mean, "shift": -1}
        ),
        OpCall("average_pool", "one_dimension", line, I8, {**in_line, "count_include_pad": False, **mean}),
        OpCall("average_pool_float32", "pads_left_out", x, U8, {**padded, "count_include_pad": False, **float_mean}),
        OpCall("average_pool_float32", "pads_counted", x, U8, {**padded, "count_include_pad": True, **float_mean}),
        OpCall("average_pool_float32", "ceil_mode", x, U8, {**ceil, "count_include_pad": True, **float_mean}),
        OpCall("reduce_mean", "image", signed, I8, {**over, **mean}),
        OpCall("reduce_mean", "channels", signed, I8, {"axes": (1,), "keepdims": False, **mean, "shift": 1}),
        OpCall(
            "reduce_mean", "half_even", signed, I8, {"axes": (3,), "keepdims": True, **mean, "rounding": "half_even"}
        ),
        OpCall("reduce_mean_float32", "image", x, U8, {**over, **float_mean}),
        OpCall(
            "reduce_mean_float32",
            "ties",
            x,
            U8,
            {"axes": (2,), "keepdims": False, **float_mean, "x_scale": 0.5, "scale": 0.5},
        ),
    ]


def _movement() -> list[OpCall]:
    x = codes((2, 3, 4, 5), I8, 17)
    one = {"x": x}
    nearest = {"sizes": None, "scales": (1.0, 1.0, 2.0, 1.5)}
    pads = (0, 0, 1, 2, 0, 0, 0, 3)
    return [
        OpCall("concat", "channels", {"x0": x, "x1": codes((2, 1, 4, 5), I8, 18), "x2": x}, I8, {"axis": 1}),
        OpCall("concat", "last_axis", {"x0": x, "x1": codes((2, 3, 4, 1), I8, 19)}, I8, {"axis": 3}),
        OpCall("reshape", "zero_copies_minus_one_infers", one, I8, {"shape": (0, -1, 2)}),
        OpCall("flatten", "axis_1", one, I8, {"axis": 1}),
        OpCall("transpose", "channels_last", one, I8, {"perm": (0, 2, 3, 1)}),
        OpCall("depth_to_space", "dcr", {"x": codes((1, 8, 2, 3), I8, 21)}, I8, {"blocksize": 2, "mode": "DCR"}),
        OpCall("depth_to_space", "crd", {"x": codes((1, 8, 2, 3), I8, 21)}, I8, {"blocksize": 2, "mode": "CRD"}),
        OpCall("reduce_max", "image", one, I8, {"axes": (2, 3), "keepdims": True}),
        OpCall("reduce_max", "channels", {"x": codes((2, 3, 4, 5), U8, 22)}, U8, {"axes": (1,), "keepdims": False}),
        OpCall("squeeze", "image", {"x": codes((2, 3, 1, 1), I8, 20)}, I8, {"axes": (2, 3)}),
        OpCall("unsqueeze", "front", one, I8, {"axes": (0, 3)}),
        OpCall("slice", "steps", one, I8, {"starts": (1, 0), "ends": (3, 5), "axes": (1, 3), "steps": (1, 2)}),
        OpCall("pad", "constant", one, I8, {"pads": pads, "mode": "constant", "value": -9}),
        OpCall("pad", "reflect", one, I8, {"pads": pads, "mode": "reflect", "value": 0}),
        OpCall("pad", "edge", one, I8, {"pads": pads, "mode": "edge", "value": 0}),
        OpCall("copy", "plain", one, I8, {}),
        *(
            OpCall(
                "resize_nearest",
                f"{coordinate}-{mode}",
                one,
                I8,
                {**nearest, "coordinate_mode": coordinate, "nearest_mode": mode},
            )
            for coordinate, mode in (
                ("asymmetric", "floor"),
                ("half_pixel", "round_prefer_floor"),
                ("align_corners", "round_prefer_ceil"),
                ("pytorch_half_pixel", "ceil"),
            )
        ),
        OpCall(
            "resize_nearest",
            "sizes",
            one,
            I8,
            {"scales": None, "sizes": (0, 0, 3, 11), "coordinate_mode": "half_pixel", "nearest_mode": "floor"},
        ),
    ]
