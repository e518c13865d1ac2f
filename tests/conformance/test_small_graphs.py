"""Every op in tiny graphs: against ONNX Runtime in its quantizer's configurations, and on power-of-two scales."""

from __future__ import annotations

from dataclasses import astuple
from functools import cache

import onnx
import pytest

import intsim
from intsim.comparison import Comparison
from intsim.errors import UnsupportedOp
from intsim.quantization import quantize_model
from tests.models.quantize import CONFIGURATIONS, WIDTHS, preprocess, quantize
from tests.models.small import GRAPHS, small, small_input
from tests.pairwise import pairwise
from tests.processor import ONNXRUNTIME

pytest.importorskip("onnxruntime")

CALIBRATION_SAMPLES = 8
SAMPLES = 32

RESUMED = {
    "reduce_mean_channels": "the order of ONNX Runtime's sum over an inner axis depends on the batch",
    "softmax": "exp in float, from a table of ONNX Runtime's own",
}
"""Graphs with a tensor after float arithmetic that is not exact, which is taken from ONNX Runtime."""

REFUSED_BY_ONNXRUNTIME = ("clip_inside", "clip_low_only")
"""Relu, then Clip, on signed codes: ONNX Runtime 1.31 fuses them and refuses its own result."""

DROPS_A_RELU = ("residual", 4)
"""ONNX Runtime 1.31 takes signed 4-bit codes for codes from zero on, and drops the Relu before their quantizer."""


FEW = pairwise([astuple(configuration) for configuration in CONFIGURATIONS.values()])
"""The configurations, by number, that have every two of their settings together."""


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.release)], ids=["pairwise", "every"])
@pytest.mark.parametrize("name", GRAPHS)
def test_every_configuration_equals_onnxruntime(name: str, every: bool) -> None:
    prepared, x = preprocess(small(name)), small_input(name, SAMPLES)
    for number, configuration in enumerate(CONFIGURATIONS.values()):
        if not every and number not in FEW:
            continue
        quantized = quantize(prepared, configuration, x[:CALIBRATION_SAMPLES])
        found = intsim.compare(intsim.load(quantized, target=ONNXRUNTIME), "onnxruntime", x)
        assert found.equal, f"{configuration.name}\n{found.table()}"
        assert len(found.resumed) == (name in RESUMED), configuration.name
        assert found.unmatched == (), configuration.name


@pytest.mark.parametrize("name", ["conv", "conv_depthwise", "gemm", "residual", "concat", "max_pool", "sigmoid"])
def test_wider_and_narrower_codes(name: str) -> None:
    """16-bit codes and 4-bit weights: what ONNX Runtime sums in float is taken from it, the rest is equal."""
    prepared, x = preprocess(small(name)), small_input(name, SAMPLES)
    for configuration in WIDTHS.values():
        quantized = quantize(prepared, configuration, x[:CALIBRATION_SAMPLES])
        model = intsim.load(quantized, target=ONNXRUNTIME)
        against_onnxruntime = intsim.compare(model, "onnxruntime", x)
        assert against_onnxruntime.equal, f"{configuration.name}\n{against_onnxruntime.table()}"
        assert against_onnxruntime.unmatched == (), configuration.name
        against_spec = intsim.compare(model, "spec", x[:4])
        assert against_spec.equal, f"{configuration.name}\n{against_spec.table()}"
        assert against_spec.compared == against_onnxruntime.compared + len(against_onnxruntime.resumed)


@cache
def shared_exponents(name: str, bits: int) -> onnx.ModelProto:
    """The graph with one power-of-two exponent a tensor."""
    return quantize_model(small(name), small_input(name, SAMPLES), bits=bits).model


def against(peer: str, name: str, bits: int = 8, target: str = "diffquant", *, isolated: bool = False) -> Comparison:
    model = intsim.load(shared_exponents(name, bits), target=target)
    return intsim.compare(model, peer, small_input(name, SAMPLES), isolated=isolated)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_kernels_equal_the_spec_on_shared_exponents(name: str, bits: int) -> None:
    found = against("spec", name, bits)
    assert found.equal, found.table()
    assert not found.unmatched
    assert not found.resumed


@pytest.mark.parametrize("name", ["conv", "conv_1d_everything", "gemm", "residual", "concat", "average_pool_pads"])
def test_the_kernels_equal_the_spec_in_16_bits(name: str) -> None:
    """Products of 32 bits, accumulators of 48."""
    found = against("spec", name, bits=16)
    assert found.equal, found.table()
    assert not found.unmatched


@pytest.mark.parametrize("name", GRAPHS)
def test_shared_exponents_under_onnxruntimes_arithmetic(name: str) -> None:
    """The same files, where every scale is a power of two and half of all ties count."""
    if name in REFUSED_BY_ONNXRUNTIME:
        with pytest.raises(UnsupportedOp, match=r"onnxruntime .* refuses the model: .*Clip"):
            against("onnxruntime", name, target=ONNXRUNTIME)
        return
    found = against("onnxruntime", name, target=ONNXRUNTIME)
    assert found.equal, found.table()


@pytest.mark.parametrize("bits", [16, 4, 2])
@pytest.mark.parametrize("name", ["conv", "gemm", "residual", "concat", "max_pool", "global_average_pool"])
def test_onnxruntime_in_float_differs_by_one_code_at_ties_and_float_roundings(name: str, bits: int) -> None:
    """It has no integer kernels of these widths: no oracle, but it is compared, and the differences are named."""
    found = against("onnxruntime", name, bits, isolated=True)
    if (name, bits) == DROPS_A_RELU:
        worst = {layer.name: layer.max_difference for layer in found.layers}
        assert {tensor for tensor, difference in worst.items() if difference > 1} == {"hidden.codes", "y.codes"}
        return
    # The extended optimizations make integer kernels of 2-bit layers and move 4-bit codes into a MaxPool: both refused.
    refused = bits == 2 or (bits, name) == (4, "max_pool")
    assert found.against == ("onnxruntime in float" if refused else "onnxruntime")
    assert not found.unmatched
    assert max(layer.max_difference for layer in found.layers) <= 1, found.table()
    assert found.causes.total() == found.mismatches
    assert set(found.causes) <= {"tie", "float rounding"}


@pytest.mark.parametrize("name", GRAPHS)
def test_pytorch_differs_by_one_code_at_ties_and_float_roundings(name: str) -> None:
    """On equal inputs PyTorch is at most one code away: it rounds ties to even, and computes in float32."""
    pytest.importorskip("torch")
    found = against("torch", name, isolated=True)
    assert not found.unmatched
    assert max(layer.max_difference for layer in found.layers) <= 1, found.table()
    assert found.causes.total() == found.mismatches
    assert set(found.causes) <= {"tie", "float rounding"}
    assert found.mismatches < 0.1 * found.elements
