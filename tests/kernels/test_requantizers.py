"""The kernels of the targets' requantizers against the spec: random, boundary and all 12-bit values; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim.formats import ROUNDINGS
from intsim.spec.quantize_qonnx import ROUNDING_MODES
from tests.kernels.compare import assert_same, kernel_of
from tests.spec.requantizers import SCALAR, WITH_ZERO_POINT, accumulators, parameters
from tests.spec.second import clipped
from tests.spec.test_requantizers import OK, SHIFTED, formats

OPS = tuple(SCALAR)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.release)])
def test_random_and_boundary_values(op: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(op)])
    for bits, signed, narrow in formats(op):
        given = parameters(op, rng, 60)
        low, high = clipped(-(2**40), bits, signed, narrow), clipped(2**40, bits, signed, narrow)
        zeros = rng.integers(max(low, -(2**20)), min(high, 2**20), 60, endpoint=True)
        zero = {"zero_point": zeros} if op in WITH_ZERO_POINT else {}
        acc = accumulators(op, rng, 60, 300)
        assert_same(op, acc, **given, **zero, bits=bits, signed=signed, narrow=narrow, axis=0)


@pytest.mark.nojit
@pytest.mark.parametrize("op", OPS)
def test_per_channel_axes_and_scalars(op: str) -> None:
    rng = np.random.default_rng(9)
    acc = (accumulators(op, rng, 2, 24) >> 8).reshape(2, 3, 2, 4)
    for axis in (1, -1):
        given = parameters(op, rng, acc.shape[axis])
        assert_same(op, acc, **given, bits=8, signed=True, axis=axis)
    scalars = {k: v.flat[0] if isinstance(v, np.ndarray) else v for k, v in given.items()}
    assert_same(op, acc, **scalars, bits=4, signed=False)
    assert_same(op, acc.reshape(-1)[:5], **scalars, bits=4, signed=True)


@pytest.mark.parametrize("op", SHIFTED)
def test_every_12_bit_accumulator_shift_and_width(op: str) -> None:
    _, shifts, given = SHIFTED[op]
    acc = np.arange(-2048, 2048, dtype=np.int32)
    for shift in shifts:
        for bits in range(2, 9):
            check = {"bits": bits, "signed": True, "narrow": bool(shift & 1)}
            assert_same(op, acc, **given(shift), **check)


@pytest.mark.parametrize("op", ["requantize_tflite", "requantize_cmsis_nn"])
def test_every_12_bit_accumulator_with_double_rounding(op: str) -> None:
    acc = np.arange(-2048, 2048, dtype=np.int32)
    for shift in range(-14, 8):
        for bits in range(2, 9):
            assert_same(op, acc, multiplier=3 << 29, shift=shift, bits=bits, signed=True)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_12_bit_accumulator_shift_width_and_rule(rounding: str) -> None:
    acc = np.arange(-2048, 2048, dtype=np.int32)
    for shift in range(-3, 15):
        for bits in range(2, 9):
            assert_same("requantize", acc, shift=shift, rounding=rounding, bits=bits, signed=True)


def test_tosa_with_16_bit_multipliers() -> None:
    rng = np.random.default_rng(3)
    acc = rng.integers(-(2**46), 2**46, (30, 50)) >> rng.integers(0, 40, (30, 50))
    for bits in (8, 16, 32):
        assert_same(
            "requantize_tosa",
            acc,
            multiplier=rng.integers(0, 2**15, 30),
            shift=rng.integers(31, 63, 30),
            multiplier_bits=16,
            input_zero_point=-7,
            zero_point=rng.integers(-128, 128, 30),
            bits=bits,
            signed=True,
            axis=0,
        )


def test_onnx_reference() -> None:
    rng = np.random.default_rng(4)
    acc = accumulators("", rng, 60, 300)
    for bits, signed, narrow in formats(""):
        low, high = clipped(-(2**40), bits, signed, narrow), clipped(2**40, bits, signed, narrow)
        multiplier = (2.0 ** rng.uniform(-35, 3, 60)).astype(np.float32)
        multiplier[::2] = 2.0 ** rng.integers(-12, 0, 30)
        zeros = rng.integers(low, high, 60, endpoint=True)
        assert_same(
            "requantize_onnx_reference",
            acc,
            multiplier=multiplier,
            zero_point=zeros,
            bits=bits,
            signed=signed,
            narrow=narrow,
            axis=0,
        )


@pytest.mark.nojit
@pytest.mark.parametrize("mode", ROUNDING_MODES)
def test_quantize_qonnx(mode: str) -> None:
    rng = np.random.default_rng(5)
    r = np.concatenate([np.arange(-48, 48) / 16, rng.normal(0, 4, 100), [0.5 * 0.25 - 2.0**-27]]).astype(np.float32)
    for bits, signed, narrow, zero in (
        (8, True, False, 3),
        (4, True, True, 0),
        (4, False, True, 2),
        (1, False, False, 0),
    ):
        assert_same(
            "quantize_qonnx",
            np.stack([r, -r]),
            scale=np.array([0.25, 0.1], np.float32),
            zero_point=zero,
            rounding_mode=mode,
            bits=bits,
            signed=signed,
            narrow=narrow,
            axis=0,
        )


@pytest.mark.parametrize("op", OK)
def test_accumulators_outside_the_domain(op: str) -> None:
    if op == "requantize_nemo":
        return
    top = 2**47 if op == "requantize_tflite_int64" else 2**31
    with pytest.raises(ValueError, match=rf"{top} at \(1, 0\)"):
        kernel_of(op)(np.array([[0, 7], [top, 0]]), **OK[op], bits=8, signed=True)


@pytest.mark.parametrize(
    ("op", "acc", "changes", "message"),
    [
        ("requantize_tflite", 0, {"shift": 31}, "shift must be within -31 to 30, not 31"),
        ("requantize_cmsis_nn", 0, {"multiplier": -(2**31)}, "multiplier must be within -2147483647"),
        ("requantize_tflite_single", 4, {"multiplier": 2**30, "shift": 30}, "an int32, not so for 4 at"),
        ("requantize_cmsis_nn_single", 4, {"multiplier": 2**30, "shift": 30}, "an int32, not so for 4 at"),
        ("requantize_tflite_int64", 2**40, {"multiplier": 2**30}, "the rounded product must be an int32"),
        ("requantize_tosa", 8, {"shift": 4}, r"TOSA's ranges, not so for 8 at \(1, 2\)"),
        ("requantize_tosa", -9, {"shift": 4}, r"TOSA's ranges, not so for -9 at \(1, 2\)"),
        ("requantize_tosa", 2**40, {"multiplier_bits": 16, "multiplier": 4, "shift": 2}, "TOSA's ranges"),
        ("requantize_tosa", 0, {"multiplier_bits": 16, "double_rounding": True}, "multiplier_bits must be 32"),
        (
            "requantize_tosa",
            2**31 - 1,
            {"multiplier": 2**31 - 1, "shift": 32, "zero_point": 2**31 - 1, "bits": 32},
            "TOSA's ranges",
        ),
        ("requantize_xnnpack_fp32", 0, {"multiplier": 256.0}, "below 256, not 256.0"),
        ("requantize_xnnpack_rndnu", 2**30, {"multiplier": 128.0}, "the rounded product must be an int32"),
        ("requantize_nvdla", 0, {"shift": 64}, "shift must be within 0 to 63, not 64"),
        ("requantize_max7800x", 0, {"output_shift": 16}, "output_shift must be within -15 to 15, not 16"),
        ("requantize_pulp", 0, {"rounding": "half_even"}, "rounding must be half_up or floor"),
        ("requantize_pulp", 1, {"multiplier": 2**30, "addend": 2**30, "overflow": "trap"}, "must be an int32"),
        ("requantize_pulp", 1, {"multiplier": 2**31 - 1, "shift": 1, "overflow": "trap"}, "must be an int32"),
        ("requantize_pulp", 1, {"multiplier": 0, "input_offset": 2**31 - 1, "overflow": "trap"}, "must be an int32"),
        ("requantize_tosa", 2**63 - 1, {"input_zero_point": -1}, "TOSA's ranges"),
        ("requantize_pulp", 2**30, {"multiplier": 2, "overflow": "trap"}, r"must be an int32, not so for .* \(1, 2\)"),
        (
            "requantize_pulp",
            -(2**31),
            {"multiplier": -(2**31), "input_offset": -(2**31), "overflow": "trap"},
            "an int32",
        ),
        ("requantize_nemo", 2**62, {"multiplier": 2}, "the product must be an int64"),
        ("requantize_nemo", -(2**62), {"multiplier": -2}, "the product must be an int64"),
        ("requantize_nngen", -(2**31), {"bias": -(2**31), "scale": -(2**31)}, "the scaled sum must be an int64"),
        ("requantize_tflite_float64", 2**31 - 1, {"multiplier": 2.0}, "the rounded product must be an int32"),
        ("requantize_tflite", 0, {"bits": 33}, "at most 32 bits, not 33"),
        ("quantize_qonnx", 0.0, {"bits": 1, "scale": 1.0}, "bits must be 2 to 16, not 1"),
    ],
)
def test_outside_the_domain(op: str, acc: Any, changes: dict[str, Any], message: str) -> None:
    x = np.zeros((2, 3), type(acc))
    x[1, 2] = acc
    with pytest.raises(ValueError, match=message):
        kernel_of(op)(x, **{**OK.get(op, {}), "bits": 8, "signed": True, **changes})


@pytest.mark.parametrize("factor", [1, -1, 2, -2, 3, -3, 2**31, 2**62, -(2**62), 2**63 - 1, -(2**63)])
def test_nemo_up_to_the_ends_of_int64(factor: int) -> None:
    lowest, highest = -(2**63), 2**63 - 1
    low, high = sorted(end // factor if end * factor > 0 else -(-end // factor) for end in (lowest, highest))
    high = min(high, highest)
    given: dict[str, Any] = {"multiplier": factor, "divisor": 2**60 + 1, "bits": 8, "signed": True}
    assert_same("requantize_nemo", np.array([0, low, high]), **given)
    for beyond in (low - 1, high + 1):
        if lowest <= beyond <= highest:
            with pytest.raises(ValueError, match=rf"the product must be an int64, not so for {beyond} at \(1,\)"):
                kernel_of("requantize_nemo")(np.array([0, beyond]), **given)
