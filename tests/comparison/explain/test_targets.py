"""Explain on every named target: each step of every tensor is what the engine computed."""

from __future__ import annotations

import functools

import onnx
import pytest

import intsim
from intsim.target import REQUANTIZERS, TARGETS, Target
from tests.cli.small_model import small_reals
from tests.comparison.explain.test_explain import COUNT, check_every_tensor, hand_made
from tests.models.quantize import CONFIGURATIONS, preprocess, quantize
from tests.models.small import small, small_input

NAMES = ("conv_groups", "gemm", "add_constant", "excitation", "average_pool_pads", "leaky_relu", "concat_last_axis")
SHIFTS = [name for name, target in TARGETS.items() if target.shifts_only]
OTHERS = [name for name, target in TARGETS.items() if not target.shifts_only]


@functools.cache
def quantized(name: str) -> onnx.ModelProto:
    return quantize(preprocess(small(name)), CONFIGURATIONS["qdq-s8-symmetric-channel"], small_input(name))


@pytest.mark.parametrize("target", OTHERS)
@pytest.mark.parametrize("name", NAMES)
def test_networks_with_any_scales(target: str, name: str) -> None:
    if target == "onnx-reference" and name == "average_pool_pads":
        pytest.skip("a float AveragePool is refused")
    assert check_every_tensor(intsim.load(quantized(name), target), small_input(name)) >= COUNT


@pytest.mark.parametrize("target", [name for name in SHIFTS if name != "max7800x"])
def test_networks_with_powers_of_two(target: str) -> None:
    assert check_every_tensor(hand_made("diffquant").with_target(target), small_reals(2)) >= 2 * COUNT


@pytest.mark.parametrize("requantizer", [r for r in REQUANTIZERS if r not in {t.requantizer for t in TARGETS.values()}])
def test_requantizers_that_no_named_target_has(requantizer: str) -> None:
    model = intsim.load(quantized("conv_groups"), Target("other", requantizer=requantizer, accumulator_bits=32))
    assert check_every_tensor(model, small_input("conv_groups")) >= 2 * COUNT
