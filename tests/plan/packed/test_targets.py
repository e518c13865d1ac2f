"""Every named target's requantizers in packed kernels: the reference's codes, the portable loops' counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import intsim
from intsim.graph import Graph
from intsim.lowering import lower
from intsim.plan import make_plan
from intsim.run.inputs import values_of
from intsim.target import TARGETS
from tests.kernels.packed.run import in_turn, needs_instructions
from tests.models.quantize import CONFIGURATIONS, quantize
from tests.models.small import small, small_input
from tests.networks import residual_graph
from tests.plan.packed.paths import agree

pytestmark = needs_instructions

EPILOGUES = {
    "diffquant": {"shift"},
    "onnx-reference": {"float64_half_even"},
    "tflite": {"doubled", "float64_half_away"},
    "tflite-single": {"multiplier"},
    "cmsis-nn": {"doubled"},
    "tosa": {"multiplier_ties"},
    "tosa-single": {"multiplier"},
    "xnnpack": {"float32"},
    "nvdla": {"multiplier_ties"},
    "gemmini": {"float32"},
    "vitis-dpu": {"shift"},
    "max7800x": {"shift"},
    "pulp": {"wrap"},
    "nngen": {"multiplier_ties"},
}
"""Target -> the epilogues of its convolutions and of its matrix product."""


def network(target: str) -> Graph:
    """A residual network; for `max7800x`, whose biases are int8 shifted by 7, with such biases."""
    graph = residual_graph()
    if target != "max7800x":
        return graph
    constants = {name: 128 * (c // 128) if name.startswith("b") else c for name, c in graph.constants.items()}
    return replace(graph, constants=constants)


@pytest.mark.parametrize(("target", "isas"), in_turn([(target,) for target in EPILOGUES]))
def test_a_residual_network(target: str, isas: tuple[str, ...]) -> None:
    plan = make_plan(lower(network(target), TARGETS[target]))
    reals = np.random.default_rng(3).normal(0, 3, (5, 3, 8, 8)).astype(np.float32)
    for isa, choices in agree(plan, {"image": reals}, threads=2, isas=isas).items():
        kernels = {choice.kernel for choice in choices if choice.layer.op in ("conv", "matmul")}
        macs = ("conv_u8_u8", "matmul_u8_u8")
        assert kernels == {f"{op}__{e}_{isa}" for op in macs for e in EPILOGUES[target]} & kernels
        assert {kernel.split("__")[1].removesuffix(f"_{isa}") for kernel in kernels} == EPILOGUES[target]


@pytest.mark.parametrize("name", ["conv", "conv_depthwise", "gemm", "residual", "global_average_pool"])
def test_onnxruntime(name: str) -> None:
    """Activations with any zero point, a scale a channel."""
    x = small_input(name)
    file = quantize(small(name), CONFIGURATIONS["qdq-u8-asymmetric-channel"], x).SerializeToString()
    for target in ("onnxruntime", "onnxruntime-avx2"):
        model = intsim.load(file, target)
        for isa, choices in agree(model.plan, values_of(model.lowered, model.named_inputs(x))).items():
            kernels = {choice.kernel for choice in choices if choice.layer.op in ("conv", "matmul")}
            if target == "onnxruntime":
                assert all(kernel.endswith(f"__float32_{isa}") for kernel in kernels)
            else:  # where its sums may saturate in 16 bits, they are made in order
                assert kernels <= {"conv", "matmul", f"conv_u8_u8__float32_{isa}"}


def test_every_target_is_here() -> None:
    assert {*EPILOGUES, "onnxruntime", "onnxruntime-avx2"} == set(TARGETS)
