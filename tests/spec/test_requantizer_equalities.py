"""What the sources imply of each other: equal on 5 million random cases, and how often tie rules differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intsim import spec
from tests.kernels.compare import kernel_of

CASES, PART = 5_000_000, 250_000

Array = np.ndarray[Any, np.dtype[Any]]


def cases(seed: int, lowest_shift: int, highest_shift: int) -> tuple[Array, Array, Array]:
    """Accumulators, multipliers and shifts (to the left), so that TOSA's REQUIRE holds: |acc| < 2**(30 - shift)."""
    rng = np.random.default_rng(seed)
    shift = rng.integers(lowest_shift, highest_shift, PART, endpoint=True)
    width = np.minimum(30 - shift, 31) - rng.integers(0, 12, PART)  # small magnitudes as often as large ones
    acc = rng.integers(-(2**31), 2**31, PART) >> (31 - np.maximum(width, 0))
    return acc, rng.integers(2**30, 2**31, PART), shift


def codes(op: str, acc: Array, multiplier: Array, shift: Array, *, kernel: bool, **more: Any) -> Array:
    function = kernel_of(op) if kernel else getattr(spec, op)
    given = {"multiplier": multiplier, "shift": shift, "zero_point": -3, "bits": 32, "signed": True, "axis": 0}
    return np.asarray(function(acc, **given, **more))


@pytest.mark.parametrize("kernel", [True, False])
def test_single_rounding_of_tflite_tosa_and_cmsis_nn_is_one(kernel: bool) -> None:
    for seed in range(CASES // PART):
        acc, multiplier, shift = cases(seed, -31, 29)
        tflite = codes("requantize_tflite_single", acc, multiplier, shift, kernel=kernel)
        tosa = codes("requantize_tosa", acc, multiplier, 31 - shift, kernel=kernel)
        cmsis = codes("requantize_cmsis_nn_single", acc, multiplier, shift, kernel=kernel)
        assert np.array_equal(tflite, tosa)
        assert np.array_equal(tflite, cmsis)
        if not kernel and seed == 3:
            break  # a million with the spec


@pytest.mark.parametrize("kernel", [True, False])
def test_double_rounding_of_tflite_tosa_and_cmsis_nn_is_one(kernel: bool) -> None:
    single_differs = 0
    for seed in range(CASES // PART):
        acc, multiplier, shift = cases(100 + seed, -31, 29)
        tflite = codes("requantize_tflite", acc, multiplier, shift, kernel=kernel)
        tosa = codes("requantize_tosa", acc, multiplier, 31 - shift, kernel=kernel, double_rounding=True)
        cmsis = codes("requantize_cmsis_nn", acc, multiplier, shift, kernel=kernel)
        assert np.array_equal(tflite, tosa)
        assert np.array_equal(tflite, cmsis)
        single = codes("requantize_tosa", acc, multiplier, 31 - shift, kernel=kernel)
        single_differs += int((single != tosa).sum())
        if not kernel and seed == 3:
            break
    assert single_differs > 0


def test_cmsis_nn_differs_from_tflite_nowhere_in_its_domain() -> None:
    """Negative multipliers and left shifts that wrap included."""
    rng = np.random.default_rng(5)
    acc = rng.integers(-(2**31), 2**31, PART)
    multiplier, shift = rng.integers(1 - 2**31, 2**31, PART), rng.integers(-31, 31, PART)
    tflite, cmsis = (codes(f"requantize_{t}", acc, multiplier, shift, kernel=False) for t in ("tflite", "cmsis_nn"))
    assert np.array_equal(tflite, cmsis)


@pytest.mark.parametrize("shift", range(1, 9))
def test_half_even_and_half_up_differ_at_half_of_the_ties(shift: int) -> None:
    """A tie has probability 2**-shift; at every other one, where the floor is even, half_even stays below."""
    acc = np.arange(-(2**15), 2**15)
    given: dict[str, Any] = {"shift": shift, "bits": 20, "signed": True}
    even, up = (spec.requantize(acc, rounding=rule, **given) for rule in ("half_even", "half_up"))
    assert (even != up).mean() == 2.0 ** -(shift + 1)
    rng = np.random.default_rng(shift)
    acc = rng.integers(-(2**24), 2**24, CASES // 8)
    even, up = (
        kernel_of("requantize")(acc, rounding=rule, shift=shift, bits=32, signed=True)
        for rule in ("half_even", "half_up")
    )
    rate = 2.0 ** -(shift + 1)
    assert abs((even != up).mean() - rate) < 6 * (rate / len(acc)) ** 0.5  # six standard deviations
