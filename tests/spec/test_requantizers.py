"""Every target's requantizer against a second formulation: random and boundary values, and every 12-bit accumulator."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from intsim import spec
from intsim.errors import OutOfDomain
from intsim.spec.quantize_qonnx import ROUNDING_MODES
from tests.spec.requantizers import SCALAR, WITH_ZERO_POINT, accumulators, onnx_reference, parameters
from tests.spec.second import FRACTION, clipped, float32

CHANNELS, COUNT = 40, 60
FORMATS = [(1, False, False), (1, True, False), (2, True, True), (8, True, False), (8, False, False), (16, True, True)]
WIDE = [(17, False, False), (32, True, False), (32, True, True), (32, False, False)]
IN_FLOAT32 = {"requantize_xnnpack_fp32"}


def formats(op: str) -> list[tuple[int, bool, bool]]:
    return FORMATS if op in IN_FLOAT32 else FORMATS + WIDE


@pytest.mark.parametrize("op", SCALAR)
def test_against_the_second_formulation(op: str) -> None:
    rng = np.random.default_rng(len(op))
    for bits, signed, narrow in formats(op):
        given = parameters(op, rng, CHANNELS)
        acc = accumulators(op, rng, CHANNELS, COUNT)
        low, high = clipped(-(2**40), bits, signed, narrow), clipped(2**40, bits, signed, narrow)
        # the standard wants the sum with the zero point within int32
        zeros = rng.integers(max(low, -(2**20)), min(high, 2**20), CHANNELS, endpoint=True)
        zero = {"zero_point": zeros} if op in WITH_ZERO_POINT else {}
        codes = getattr(spec, op)(acc, **given, **zero, bits=bits, signed=signed, narrow=narrow, axis=0)
        for c in range(CHANNELS):
            scalars = {k: v[c].item() if isinstance(v, np.ndarray) else v for k, v in given.items()}
            plus = int(zeros[c]) if zero else 0
            expected = [clipped(SCALAR[op](a, **scalars) + plus, bits, signed, narrow) for a in acc[c].tolist()]
            assert codes[c].tolist() == expected, scalars


SHIFTED: dict[str, tuple[str, range, Any]] = {
    # op: its rule, its shifts to the right, the parameters of a plain division by 2**shift
    "requantize_tflite_single": ("half_up", range(1, 15), lambda s: {"multiplier": 2**30, "shift": 1 - s}),
    "requantize_cmsis_nn_single": ("half_up", range(1, 15), lambda s: {"multiplier": 2**30, "shift": 1 - s}),
    "requantize_tflite_int64": ("half_up", range(1, 15), lambda s: {"multiplier": 2**30, "shift": 1 - s}),
    "requantize_tosa": ("half_up", range(1, 15), lambda s: {"multiplier": 2**30, "shift": 30 + s}),
    "requantize_xnnpack_rndnu": ("half_up", range(-7, 15), lambda s: {"multiplier": 2.0**-s}),
    "requantize_max7800x": ("half_up", range(-8, 23), lambda s: {"output_shift": 7 - s}),
    "requantize_pulp": ("half_up", range(15), lambda s: {"multiplier": 1, "shift": s}),
    "requantize_xnnpack_fp32": ("half_even", range(-7, 15), lambda s: {"multiplier": 2.0**-s}),
    "requantize_gemmini": ("half_even", range(-7, 15), lambda s: {"multiplier": 2.0**-s}),
    "requantize_onnx_reference": ("half_even", range(-7, 15), lambda s: {"multiplier": 2.0**-s}),
    "requantize_nvdla": ("half_away", range(15), lambda s: {"multiplier": 1, "shift": s}),
    "requantize_nngen": ("half_away", range(15), lambda s: {"out_shift": s}),
    "requantize_tflite_float64": ("half_away", range(-7, 15), lambda s: {"multiplier": 2.0**-s}),
    "requantize_nemo": ("floor", range(15), lambda s: {"multiplier": 1, "divisor": 2**s}),
}


@pytest.mark.parametrize("op", SHIFTED)
def test_every_12_bit_accumulator_shift_and_width(op: str) -> None:
    rule, shifts, given = SHIFTED[op]
    acc = np.arange(-2048, 2048)
    for shift in shifts:
        exact = np.array([FRACTION[rule](Fraction(a) / Fraction(2) ** shift) for a in acc.tolist()])
        for bits in range(2, 9):
            codes = getattr(spec, op)(acc, **given(shift), bits=bits, signed=True, narrow=False)
            assert np.array_equal(codes, np.clip(exact, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)), (shift, bits)


@pytest.mark.parametrize("op", ["requantize_tflite", "requantize_cmsis_nn"])
def test_every_12_bit_accumulator_with_double_rounding(op: str) -> None:
    """half_up by one bit (multiplier 2**30), then half_away by the rest."""
    acc = np.arange(-2048, 2048)
    for shift in range(14):
        halves = [FRACTION["half_up"](Fraction(a, 2)) for a in acc.tolist()]
        exact = np.array([FRACTION["half_away"](Fraction(h, 2**shift)) for h in halves])
        for bits in range(2, 9):
            codes = getattr(spec, op)(acc, multiplier=2**30, shift=-shift, bits=bits, signed=True)
            assert np.array_equal(codes, np.clip(exact, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)), (shift, bits)


def test_onnx_reference_adds_the_zero_point_before_the_tie_rule() -> None:
    rng = np.random.default_rng(1)
    acc = accumulators("", rng, CHANNELS, COUNT)
    multiplier = (2.0 ** rng.uniform(-35, 3, CHANNELS)).astype(np.float32)
    multiplier[::2] = 2.0 ** rng.integers(-12, 0, len(multiplier[::2]))  # ties
    zeros = rng.integers(-128, 128, CHANNELS)
    codes = spec.requantize_onnx_reference(acc, multiplier=multiplier, zero_point=zeros, bits=8, signed=True, axis=0)
    for c in range(CHANNELS):
        exact = [onnx_reference(a, multiplier[c], int(zeros[c])) for a in acc[c].tolist()]
        assert codes[c].tolist() == [clipped(round(e), 8, True) for e in exact]
    tie: dict[str, Any] = {"multiplier": 0.5, "zero_point": 1, "bits": 8, "signed": True}
    assert int(spec.requantize_onnx_reference(3, **tie)) == 2  # 5/2 to even
    assert int(spec.requantize_float32(3, **tie)) == 3  # 3/2 to even, and 1


@pytest.mark.parametrize("mode", ROUNDING_MODES)
def test_quantize_qonnx(mode: str) -> None:
    rng = np.random.default_rng(2)
    scale = np.float32(0.25)
    r = np.concatenate([np.arange(-80, 80) / 16, rng.normal(0, 4, 300), [0.5 * 0.25 - 2.0**-27]]).astype(np.float32)
    for bits, signed, narrow, zero in (
        (8, True, False, 3),
        (4, True, True, 0),
        (4, False, True, 2),
        (1, False, False, 0),
    ):
        codes = spec.quantize_qonnx(
            r, scale=scale, zero_point=zero, rounding_mode=mode.lower(), bits=bits, signed=signed, narrow=narrow
        )
        low, high = clipped(-99999, bits, signed, narrow), clipped(99999, bits, signed) - (narrow and not signed)
        for value, code in zip(r.tolist(), codes.tolist(), strict=True):
            quotient = Fraction(float(float32(Fraction(value) / Fraction(0.25))))
            x = min(max(Fraction(float(float32(quotient + zero))), Fraction(low)), Fraction(high))
            if mode == "HALF_UP":  # the half is added in float32
                x = Fraction(float(float32(abs(x) + Fraction(1, 2)))) * (1 if x > 0 else -1)
                assert code == int(x), value
            else:
                assert code == FRACTION[ROUNDING_MODES[mode]](x), value


def test_trunc_of_qonnx_is_requantize() -> None:
    """Version 2 in float32, as its custom op has it, on every 9-bit code."""
    codes = np.arange(-256, 256)
    numpy_rule = {
        "ROUND": np.round,
        "CEIL": np.ceil,
        "FLOOR": np.floor,
        "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
        "DOWN": np.fix,
        "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
        "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
    }
    for mode, rule in numpy_rule.items():
        for shift in range(9):
            y = np.clip(codes.astype(np.float32) / 2.0**shift, -8, 7)
            expected = rule(y).astype(int)  # type: ignore[operator]
            got = spec.requantize(codes, shift=shift, rounding=ROUNDING_MODES[mode], bits=4, signed=True)
            assert np.array_equal(got, expected), (mode, shift)


OK: dict[str, dict[str, Any]] = {
    "requantize_tflite": {"multiplier": 1, "shift": 0},
    "requantize_tflite_single": {"multiplier": 1, "shift": 0},
    "requantize_tflite_int64": {"multiplier": 1, "shift": 0},
    "requantize_cmsis_nn": {"multiplier": 1, "shift": 0},
    "requantize_cmsis_nn_single": {"multiplier": 1, "shift": 0},
    "requantize_tosa": {"multiplier": 1, "shift": 40},
    "requantize_xnnpack_fp32": {"multiplier": 0.5},
    "requantize_xnnpack_rndnu": {"multiplier": 0.5},
    "requantize_nvdla": {"multiplier": 1, "shift": 0},
    "requantize_gemmini": {"multiplier": 0.5},
    "requantize_max7800x": {"output_shift": 0},
    "requantize_pulp": {"multiplier": 1, "shift": 0},
    "requantize_nemo": {"multiplier": 1, "divisor": 1},
    "requantize_nngen": {"out_shift": 0},
    "requantize_onnx_reference": {"multiplier": 0.5},
    "requantize_tflite_float64": {"multiplier": 0.5},
}


@pytest.mark.parametrize("op", OK)
def test_widths_and_accumulators_outside_the_domain(op: str) -> None:
    function = getattr(spec, op)
    widest = 16 if op in IN_FLOAT32 else 32
    for bits in (0, widest + 1):
        with pytest.raises(OutOfDomain, match=f"bits must be an integer within 1 to {widest}, not {bits}"):
            function(0, **OK[op], bits=bits, signed=True)
    if op != "requantize_nemo":
        top = 2**47 if op == "requantize_tflite_int64" else 2**31
        acc = np.array([[0, top - 1], [top, 0]])
        with pytest.raises(OutOfDomain, match=rf"acc.* must be within {-top} to {top - 1}, not {top} at \(1, 0\)"):
            function(acc, **OK[op], bits=8, signed=True)


@pytest.mark.parametrize(
    ("op", "acc", "changes", "message"),
    [
        ("requantize_tflite", 0, {"shift": 31}, "shift must be an integer within -31 to 30, not 31"),
        ("requantize_tflite", 0, {"shift": -32}, "shift must be an integer within -31 to 30, not -32"),
        (
            "requantize_tflite_single",
            0,
            {"multiplier": -1},
            "multiplier must be an integer within 0 to 2147483647, not -1",
        ),
        ("requantize_tflite_single", 4, {"multiplier": 2**30, "shift": 30}, "must be within .*, not 2147483648$"),
        ("requantize_tflite_int64", 0, {"shift": 8}, "shift must be an integer within -31 to 7, not 8"),
        ("requantize_tflite_int64", 2**40, {"multiplier": 2**30}, "the rounded product must be within"),
        ("requantize_cmsis_nn", 0, {"multiplier": -(2**31)}, "multiplier must be an integer within -2147483647"),
        ("requantize_cmsis_nn_single", 4, {"multiplier": 2**30, "shift": 30}, "not 2147483648$"),
        ("requantize_tosa", 0, {"shift": 1}, "shift must be an integer within 2 to 62, not 1"),
        ("requantize_tosa", 0, {"shift": 63}, "shift must be an integer within 2 to 62, not 63"),
        ("requantize_tosa", 0, {"multiplier": -1}, "multiplier must be an integer within 0 to"),
        ("requantize_tosa", 8, {"shift": 4}, "acc - input_zero_point must be within -8 to 7, not 8$"),
        ("requantize_tosa", -8, {"shift": 4, "input_zero_point": 1}, "must be within -8 to 7, not -9$"),
        ("requantize_tosa", 0, {"multiplier_bits": 8}, "multiplier_bits must be 16 or 32, not 8"),
        ("requantize_tosa", 0, {"multiplier_bits": 16, "double_rounding": True}, "double_rounding must be False"),
        (
            "requantize_tosa",
            0,
            {"multiplier_bits": 16, "multiplier": 2**15},
            "multiplier must be an integer within 0 to 32767",
        ),
        (
            "requantize_tosa",
            2**40,
            {"multiplier_bits": 16, "multiplier": 4, "shift": 2},
            "the shifted product must be within",
        ),
        (
            "requantize_tosa",
            2**31 - 1,
            {"multiplier": 2**31 - 1, "shift": 32, "zero_point": 2**31 - 1, "bits": 32},
            "the sum with zero_point",
        ),
        (
            "requantize_xnnpack_fp32",
            0,
            {"multiplier": 256.0},
            "multiplier must be at least 2\\*\\*-32 and below 256, not 256.0",
        ),
        ("requantize_xnnpack_fp32", 0, {"multiplier": 2.0**-33}, "multiplier must be at least"),
        ("requantize_xnnpack_rndnu", 2**30, {"multiplier": 128.0}, "the rounded product must be within"),
        ("requantize_nvdla", 0, {"shift": 64}, "shift must be an integer within 0 to 63, not 64"),
        ("requantize_nvdla", 0, {"multiplier": 2**15}, "multiplier must be an integer within -32768 to 32767"),
        ("requantize_max7800x", 0, {"output_shift": 16}, "output_shift must be an integer within -15 to 15, not 16"),
        ("requantize_pulp", 0, {"shift": 32}, "shift must be an integer within 0 to 31, not 32"),
        ("requantize_pulp", 0, {"rounding": "half_even"}, "rounding must be one of half_up, floor"),
        ("requantize_pulp", 2**30, {"multiplier": 2, "overflow": "trap"}, "the product must be within"),
        ("requantize_nemo", 2**62, {"multiplier": 2}, "the product must be within"),
        ("requantize_nngen", -(2**31), {"bias": -(2**31), "scale": -(2**31)}, "the scaled sum must be within"),
        ("requantize_tflite_float64", 2**31 - 1, {"multiplier": 2.0}, "the rounded product must be within"),
        ("requantize_tflite_float64", 0, {"multiplier": 0.0}, "multiplier must be positive and finite, not 0.0"),
    ],
)
def test_outside_the_domain(op: str, acc: int, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OutOfDomain, match=message):
        getattr(spec, op)(acc, **{**OK[op], "bits": 8, "signed": True, **changes})


def test_what_is_refused_is_named_with_its_coordinate() -> None:
    acc = np.zeros((2, 3, 4), int)
    acc[1, 2, 3] = -9
    with pytest.raises(OutOfDomain, match=r"must be within -8 to 7, not -9 at \(1, 2, 3\)"):
        spec.requantize_tosa(acc, multiplier=1, shift=[30, 30, 4], bits=8, signed=True)


def test_pulp_wraps_where_asked() -> None:
    given: dict[str, Any] = {"multiplier": 2, "shift": 1, "bits": 8, "signed": True}
    assert int(spec.requantize_pulp(2**30, **given)) == -128  # 2**31 + 1 wraps to -2**31 + 1
    assert int(spec.requantize_pulp(2**29, **given, overflow="trap")) == 127
