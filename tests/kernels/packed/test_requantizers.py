"""Every requantizer as an epilogue against its spec: accumulators are start values of a convolution with zero weights.

Each channel has one accumulator and its own parameters. The accumulators are those of the spec's tests: every
magnitude, both ends of int32, and around zero; parameters that the spec refuses for some of them are refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from intsim import spec
from intsim.formats import ROUNDINGS
from intsim.kernels.packed import requantizers_int64, rows
from intsim.kernels.packed.ir import NUMBERS, VECTORS
from intsim.kernels.packed.ops import conv
from intsim.kernels.packed.requantizers import REQUANTIZERS, Requantized, format_limits
from intsim.kernels.packed.requantizers_int64 import words
from tests.kernels.packed.run import ISAS, buffer, call, needs_instructions
from tests.spec.requantizers import WITH_ZERO_POINT, accumulators, parameters

pytestmark = needs_instructions

Values = npt.NDArray[np.int64]
FORMATS = (
    (8, True, False),
    (8, False, False),
    (8, True, True),
    (4, True, False),
    (2, False, False),
    (16, True, False),
    (16, False, False),
    (11, True, True),
)
ZEROS = (0, 5, -3, 0, 1, -700, 40000, 9)
"""A zero point for each of FORMATS."""
ALL = -(1 << 31), (1 << 31) - 1
PIXELS = 5


def run(isa: str, acc: Values, r: Requantized, signed: bool, bits: int = 8) -> Values:
    """The codes [PIXELS, n] of the accumulators [n], alike for all pixels, of which four are stored together."""
    lanes = VECTORS[NUMBERS[isa]].lanes
    blocks = -(-len(acc) // lanes)
    start = acc + r.start
    starts = words(start) if r.long else (start,)
    numbers = np.zeros((len(starts) + len(r.vectors), blocks * lanes), np.int32)
    for own, values in zip(numbers, [*starts, *r.vectors], strict=True):
        own[: len(acc)] = np.broadcast_to(values, len(acc)).astype(np.int32)
    memory = np.ascontiguousarray(numbers.reshape(-1, blocks, lanes).transpose(1, 0, 2))
    weights, _ = buffer(blocks * 8 * lanes)
    source, _ = buffer(4)
    source[:] = 77
    size = 1 if bits <= 8 else 2
    offset = 128 * signed if size == 1 else -(1 << 15) if bits == 16 and not signed else 0
    out, _ = buffer(PIXELS * blocks * lanes * size)
    zeros = np.zeros(PIXELS, np.int64)
    columns: dict[int, Any] = {
        rows.TOTAL: blocks,
        rows.IN: source,
        rows.OUT: out,
        rows.LOW: r.low,
        rows.HIGH: r.high,
        rows.OFFSET: r.offset + offset,
        conv.ROW_OFFSETS: zeros,
        conv.TAP_OFFSETS: zeros,
        conv.OUT_OFFSETS: np.arange(PIXELS) * blocks * lanes * size,
        conv.TAPS: 1,
        conv.STEPS: 1,
        conv.WEIGHTS: weights,
        conv.PARAMETERS: memory,
        conv.PIXELS: PIXELS,
        conv.TILES: 1,
        conv.GROUP_BYTES: 0,
    }
    call(conv.make(PIXELS, 1, r.number(offset, size), NUMBERS[isa], 0), columns)
    stored = out.view(np.uint8 if size == 1 else np.int16)
    return stored.reshape(PIXELS, -1)[:, : len(acc)].astype(np.int64) - offset


def check(isa: str, op: str, acc: Values, given: Mapping[str, Any], bounds: tuple[int, int] | None = None) -> str:
    """Assert that the codes are the spec's; the name of the epilogue."""
    bounds = bounds or (int(acc.min()), int(acc.max()))
    long = bounds[0] < ALL[0] or bounds[1] > ALL[1]
    makers = requantizers_int64.REQUANTIZERS if long else REQUANTIZERS
    found = makers[op](given, *format_limits(given), bounds)
    assert isinstance(found, Requantized), found
    wanted = np.repeat(getattr(spec, op)(acc.reshape(1, -1), **given), PIXELS, axis=0)
    np.testing.assert_array_equal(run(isa, acc, found, given["signed"], given["bits"]), wanted)
    return found.epilogue


def spread(given: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Each channel's parameters that many times."""
    return {k: np.repeat(v, count) if isinstance(v, np.ndarray) else v for k, v in given.items()}


def zeros_of(rng: np.random.Generator, op: str, bits: int, signed: bool, narrow: bool) -> dict[str, int]:
    low, high = format_limits({"bits": bits, "signed": signed, "narrow": narrow})
    return {"zero_point": int(rng.integers(low, high, endpoint=True))} if op in WITH_ZERO_POINT else {}


SAMPLED = {
    "requantize_tflite": "doubled",
    "requantize_tflite_single": "multiplier",
    "requantize_tflite_int64": "multiplier",
    "requantize_cmsis_nn": "doubled",
    "requantize_cmsis_nn_single": "multiplier",
    "requantize_tosa": "multiplier_ties",
    "requantize_xnnpack_fp32": "float32_large",
    "requantize_xnnpack_rndnu": "multiplier",
    "requantize_nvdla": "multiplier_ties",
    "requantize_gemmini": "float32_large",
    "requantize_max7800x": "multiplier",
    "requantize_pulp": "wrap",
    "requantize_nngen": "multiplier_ties",
    "requantize_tflite_float64": "float64_half_away",
    "requantize_onnx_reference": "float64_half_even",
}


def sampled(op: str, rng: np.random.Generator, channels: int) -> dict[str, Any]:
    """The spec tests' parameters, but for those that have no packed form, whatever the accumulator."""
    if op == "requantize_onnx_reference":
        powers = 2.0 ** rng.integers(-12, 0, channels)
        return {"multiplier": np.where(rng.integers(2, size=channels), powers, 2.0 ** rng.uniform(-35, 3, channels))}
    given = parameters(op, rng, channels)
    if op == "requantize_tflite":
        given["multiplier"] = np.maximum(given["multiplier"], 1 - 2**31)
    if op == "requantize_nvdla":
        given["offset"], given["shift"] = given["offset"] >> 6, np.minimum(given["shift"], 62)
    if op == "requantize_nngen":
        given["bias"], given["sum_shift"] = given["bias"] >> 6, 0
    if op == "requantize_tosa":
        given["double_rounding"] = True
    return given


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", SAMPLED)
def test_random_and_boundary_values(isa: str, op: str) -> None:
    rng = np.random.default_rng(len(op))
    channels, count = 60, 50
    for bits, signed, narrow in FORMATS:
        given = {**sampled(op, rng, channels), **zeros_of(rng, op, bits, signed, narrow)}
        given = {**spread(given, count), "bits": bits, "signed": signed, "narrow": narrow}
        if op == "requantize_onnx_reference":
            given["multiplier"] = given["multiplier"].astype(np.float32)
        source = "" if op == "requantize_tflite_int64" else op
        acc = accumulators(source, rng, channels, count).astype(np.int64)
        if op in ("requantize_max7800x", "requantize_nvdla", "requantize_nngen"):
            acc = acc * 15 // 16  # room for the addend
        if op == "requantize_tosa":
            acc = np.maximum(acc, 2 - 2**31)
        if op in ("requantize_tflite_single", "requantize_cmsis_nn_single"):
            given["shift"] = np.minimum(given["shift"], -1)  # the quotient has to be an int32
        assert check(isa, op, acc.ravel(), given) == SAMPLED[op]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_shift_and_rounding(isa: str, rounding: str) -> None:
    """Ties of either parity and sign at every shift, and what only 64 bits can hold."""
    for zero, (bits, signed, narrow) in zip(ZEROS, FORMATS, strict=True):
        form = {"rounding": rounding, "zero_point": zero, "bits": bits, "signed": signed, "narrow": narrow}
        shifts = np.repeat(np.arange(25), 200)
        acc = (np.tile(np.arange(-100, 100), 25) << np.maximum(shifts - 1, 0)) + np.resize([-1, 0, 1], 5000)
        name = check(isa, "requantize", np.clip(acc, -(2**30), 2**30), {**form, "shift": shifts})
        assert name == ("shift" if rounding in ("half_up", "half_down", "floor", "ceil") else "ties")
        if rounding in ("half_up", "half_away"):
            shifts = np.repeat(np.arange(-30, 63), 50)
            acc = accumulators("", np.random.default_rng(0), 93, 50).astype(np.int64).ravel()
            name = check(isa, "requantize", acc, {**form, "shift": shifts})
            assert name == ("multiplier" if rounding == "half_up" else "multiplier_ties")


@pytest.mark.parametrize("isa", ISAS)
def test_float32(isa: str) -> None:
    rng = np.random.default_rng(0)
    acc = accumulators("", rng, 60, 50).astype(np.int64).ravel()
    multiplier = np.repeat((2.0 ** rng.uniform(-40, 10, 60)).astype(np.float32), 50)
    multiplier[::3] = 2.0 ** -rng.integers(0, 12, 1000)
    for zero, (bits, signed, narrow) in zip(ZEROS, FORMATS, strict=True):
        form = {"zero_point": zero, "bits": bits, "signed": signed, "narrow": narrow}
        assert check(isa, "requantize_float32", acc, {"multiplier": multiplier, **form}) == "float32_large"
        small = rng.integers(-(1 << 20), 1 << 20, len(acc))
        assert check(isa, "requantize_float32", small, {"multiplier": multiplier, **form}) == "float32"


@pytest.mark.parametrize("isa", ISAS)
def test_ties_of_multipliers(isa: str) -> None:
    """Half multiples, exactly and next to them, where every tie rule differs."""
    acc = np.arange(-3000, 3000)
    form = {"bits": 8, "signed": True, "narrow": False}
    for right in range(1, 7):
        cases: dict[str, dict[str, Any]] = {
            "requantize_tflite": {"multiplier": 3 << 29, "shift": -right},
            "requantize_cmsis_nn": {"multiplier": 2**30, "shift": 1 - right},
            "requantize_tflite_single": {"multiplier": 2**30, "shift": 1 - right},
            "requantize_cmsis_nn_single": {"multiplier": -(2**30), "shift": 1 - right},
            "requantize_tosa": {"multiplier": 2**30, "shift": 30 + right, "double_rounding": True},
            "requantize_xnnpack_rndnu": {"multiplier": 2.0**-right},
            "requantize_nvdla": {"multiplier": -(2**14), "shift": 14 + right, "offset": 3},
            "requantize_nngen": {"scale": -3, "bias": 1, "out_shift": right},
            "requantize_pulp": {"multiplier": 3, "addend": -1, "shift": right, "rounding": "floor"},
            "requantize_onnx_reference": {"multiplier": 2.0**-right, "zero_point": 3},
            "requantize_tflite_float64": {"multiplier": 2.0**-right},
        }
        for op, given in cases.items():
            check(isa, op, acc, {**given, **form})


@pytest.mark.parametrize(
    ("op", "given"),
    [
        ("requantize", {"shift": 3, "rounding": "half_up"}),
        ("requantize", {"shift": 3, "rounding": "half_even"}),
        ("requantize_tflite", {"multiplier": 2**30, "shift": -3}),
        ("requantize_tosa", {"multiplier": 2**30, "shift": 34, "double_rounding": True}),
        ("requantize_nvdla", {"multiplier": -3, "shift": 3}),
        ("requantize_pulp", {"multiplier": 3, "shift": 3}),
        ("requantize_onnx_reference", {"multiplier": 0.125}),
    ],
)
def test_every_number_matters(op: str, given: dict[str, Any]) -> None:
    """Mutants: one number changed, and some code is another."""
    form = {"bits": 8, "signed": True, "narrow": False}
    acc = np.arange(-4000, 4000)
    found = REQUANTIZERS[op](given, -128, 127, (-4000, 4000))
    assert isinstance(found, Requantized)
    wanted = np.repeat(getattr(spec, op)(acc.reshape(1, -1), **given, **form), PIXELS, axis=0)
    np.testing.assert_array_equal(run(ISAS[0], acc, found, True), wanted)
    for number, values in enumerate(found.vectors):
        mutants = [values * 0, values + 1, values + (1 << 23), values * 2 + 8]
        changed = [(*found.vectors[:number], mutant, *found.vectors[number + 1 :]) for mutant in mutants]
        assert any((run(ISAS[0], acc, replace(found, vectors=c), True) != wanted).any() for c in changed), number
    for change in ({"start": found.start + 1}, {"low": found.low + 1}, {"high": found.high - 1}, {"offset": 1}):
        assert (run(ISAS[0], acc, replace(found, **change), True) != wanted).any(), change


def test_what_is_refused() -> None:
    """What the spec raises for, and what 32 bits cannot hold."""
    form = {"bits": 8, "signed": True, "zero_point": 0}
    small = -1000, 1000
    for op, given, bounds in (
        ("requantize", {"shift": 40, "rounding": "half_even"}, small),
        ("requantize", {"shift": np.array([-1, 3]), "rounding": "floor"}, small),
        ("requantize", {"shift": 8, "rounding": "half_even"}, ALL),
        ("requantize", {"shift": -31, "rounding": "half_up"}, small),
        ("requantize_tflite", {"multiplier": -(2**31), "shift": 0}, small),
        ("requantize_tflite_single", {"multiplier": 2**31 - 1, "shift": 3}, ALL),
        ("requantize_cmsis_nn_single", {"multiplier": 2**31 - 1, "shift": 3}, ALL),
        ("requantize_tosa", {"multiplier": 2**30, "shift": 10}, small),
        ("requantize_tosa", {"multiplier": 2**30, "shift": 40, "input_zero_point": 1}, ALL),
        ("requantize_xnnpack_rndnu", {"multiplier": 4.0}, ALL),
        ("requantize_nvdla", {"multiplier": 3, "shift": 63}, small),
        ("requantize_nvdla", {"multiplier": 3, "shift": 3, "offset": 1}, ALL),
        ("requantize_nngen", {"sum_shift": 1, "out_shift": 3}, small),
        ("requantize_max7800x", {"output_shift": 0, "bias": 1}, ALL),
        ("requantize_pulp", {"multiplier": 1, "shift": 1, "overflow": "trap"}, small),
        ("requantize_tflite_float64", {"multiplier": 1.0}, ALL),
    ):
        assert isinstance(REQUANTIZERS[op]({**form, **given}, -128, 127, bounds), str), (op, given)
    for op in REQUANTIZERS:
        given = {"multiplier": 2**30, "shift": 1, "out_shift": 1, "output_shift": 1, "rounding": "floor"}
        if "float" in op or op.endswith(("reference", "rndnu", "fp32", "gemmini")):
            given["multiplier"] = 0.25
        assert isinstance(REQUANTIZERS[op]({**form, **given}, -(2**16), 2**16 - 1, small), str), op
        if "zero_point" in given and op != "requantize_onnx_reference":
            given["zero_point"] = np.array([0, 1])
            assert isinstance(REQUANTIZERS[op](given, -128, 127, small), str), op


def sums_of_64_bits(random: np.random.Generator, bits: int, count: int) -> Values:
    """Sums of either sign and every magnitude up to N bits, both ends among them."""
    sums = random.integers(0, 1 << (bits - 1), count) >> random.integers(0, bits - 1, count)
    sums = np.where(random.integers(0, 2, count) > 0, sums, -sums)
    sums[:2] = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return sums


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_shifts_of_long_sums(isa: str, rounding: str) -> None:
    """Ties of either parity and sign at every shift, and sums of up to 62 bits."""
    random = np.random.default_rng(0)
    shifts = np.repeat(np.arange(61), 60)
    quotients = random.integers(-9000, 9000, len(shifts))
    quotients >>= np.maximum(shifts - 48, 0)
    ties = (quotients << np.maximum(shifts - 1, 0)) + np.resize([-1, 0, 1], len(shifts))
    for zero, (bits, signed, narrow) in zip(ZEROS, FORMATS, strict=True):
        form = {"rounding": rounding, "zero_point": zero, "bits": bits, "signed": signed, "narrow": narrow}
        for acc in (ties, sums_of_64_bits(random, 62, len(shifts))):
            name = check(isa, "requantize", acc, {**form, "shift": shifts})
            expected = "shift" if rounding in ("half_up", "half_down", "floor", "ceil") else "ties"
            assert name == f"{expected}_int64"


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", ["requantize_tflite_int64", "requantize_tosa"])
def test_multipliers_of_long_sums(isa: str, op: str) -> None:
    random = np.random.default_rng(1)
    for zero, (bits, signed, narrow) in zip(ZEROS, FORMATS, strict=True):
        form = {"zero_point": zero, "bits": bits, "signed": signed, "narrow": narrow}
        acc = sums_of_64_bits(random, 42, 3000)
        if op == "requantize_tosa":
            form |= {"multiplier_bits": 16, "input_zero_point": -7}
            own = {"multiplier": random.integers(0, 1 << 15, 3000), "shift": random.integers(28, 62, 3000)}
        else:
            own = {"multiplier": random.integers(0, 1 << 31, 3000), "shift": random.integers(-31, -12, 3000)}
        assert check(isa, op, acc, {**form, **own}) == "multiplier_int64"


def test_long_sums_that_are_refused() -> None:
    """What 64 bits cannot hold, what the spec raises for, and requantizers that are defined in 32 bits."""
    form = {"bits": 16, "signed": True, "zero_point": 0}
    long, longest = (-(1 << 40), 1 << 40), (-(1 << 63), (1 << 63) - 1)
    for op, given, bounds in (
        ("requantize", {"shift": 3, "rounding": "half_up"}, longest),
        ("requantize", {"shift": -1, "rounding": "half_up"}, long),
        ("requantize", {"shift": 63, "rounding": "half_even"}, long),
        ("requantize", {"shift": 3, "rounding": "half_up", "zero_point": np.array([0, 1])}, long),
        ("requantize_tosa", {"multiplier": 9, "shift": 40}, long),
        ("requantize_tosa", {"multiplier": 9, "shift": 2, "multiplier_bits": 16}, long),
        ("requantize_tflite_int64", {"multiplier": 1 << 30, "shift": 0}, (-(1 << 50), 1 << 50)),
        ("requantize_tflite_int64", {"multiplier": 1 << 30, "shift": 7}, long),
    ):
        low, high = -(1 << 15), (1 << 15) - 1
        assert isinstance(requantizers_int64.REQUANTIZERS[op]({**form, **given}, low, high, bounds), str), (op, given)


@pytest.mark.parametrize(
    ("op", "given"),
    [
        ("requantize", {"rounding": "half_up"}),
        ("requantize", {"rounding": "half_even"}),
        ("requantize", {"rounding": "half_away"}),
        ("requantize_tosa", {"multiplier": 3, "multiplier_bits": 16}),
    ],
)
def test_every_number_of_long_sums_matters(op: str, given: dict[str, Any]) -> None:
    """Mutants: one number changed, and some code is another, with one shift or the other: each uses one word of two."""
    form = {"bits": 16, "signed": True, "narrow": False}
    seen: set[int] = set()
    count = 0
    for shift in (20, 40):
        acc = np.arange(-100, 100) << (shift - 1)
        own = {**given, "shift": shift}
        found = requantizers_int64.REQUANTIZERS[op](own, -(1 << 15), (1 << 15) - 1, (int(acc.min()), int(acc.max())))
        assert isinstance(found, Requantized)
        wanted = np.repeat(getattr(spec, op)(acc.reshape(1, -1), **own, **form), PIXELS, axis=0)
        np.testing.assert_array_equal(run(ISAS[0], acc, found, True, 16), wanted)
        count = len(found.vectors)
        for number, values in enumerate(found.vectors):
            mutants = [values * 0, values + 1, values ^ 1, values + (1 << 8), values + (1 << 20)]
            changed = [(*found.vectors[:number], mutant, *found.vectors[number + 1 :]) for mutant in mutants]
            if any((run(ISAS[0], acc, replace(found, vectors=c), True, 16) != wanted).any() for c in changed):
                seen.add(number)
        for change in ({"start": found.start - 1}, {"low": 0}, {"high": 0}, {"offset": 1}):
            assert (run(ISAS[0], acc, replace(found, **change), True, 16) != wanted).any(), change
    assert seen == set(range(count))


def test_all_requantizers_of_the_spec_but_these() -> None:
    every = {name for name in spec.__all__ if name.startswith("requantize")}
    assert every - set(REQUANTIZERS) == {"requantize_nemo", "requantize_quotient"}
    assert {*SAMPLED, "requantize", "requantize_float32"} == set(REQUANTIZERS)
