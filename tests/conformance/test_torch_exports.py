"""PyTorch's FakeQuantize as its two exporters write it, against ONNX Runtime: zero mismatches."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import intsim

pytest.importorskip("onnxruntime")
pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from tests.models.fake_quantize import BATCH, SHAPE, calibrated, export, samples, with_calls
from tests.pairwise import marked
from tests.processor import ONNXRUNTIME

SAMPLES = 32 * BATCH

QUANTIZED = 6
"""Quantized tensors of the network: the input, two convolutions, the sum, the mean, the scores."""

SCORES_IN_FLOAT = "TorchScript exports a bare Flatten before Gemm: ONNX Runtime leaves that Gemm in float"
RELU_IN_FLOAT = "with a zero point in the middle, ONNX Runtime leaves Conv and Relu in float"


EXPORTS = [
    (*form, per_channel, symmetric)
    for form in (
        ("modules", False, 13),
        ("modules", False, 17),
        ("calls", False, 17),
        ("calls", True, 18),
        ("calls", True, 21),
        ("calls", True, 23),
    )
    for per_channel in (False, True)
    for symmetric in (False, True)
]


@pytest.mark.parametrize(("form", "dynamo", "opset", "per_channel", "symmetric"), marked(EXPORTS))
def test_every_tensor_that_onnxruntime_has_in_integers_is_equal(
    form: str, dynamo: bool, opset: int, per_channel: bool, symmetric: bool
) -> None:
    network = calibrated(per_channel, symmetric)
    exported = export(with_calls(network) if form == "calls" else network, dynamo=dynamo, opset=opset)
    assert exported.opset_import[0].version == opset
    model = intsim.load(exported, target=ONNXRUNTIME)
    found = intsim.compare(model, "onnxruntime", samples(SAMPLES))
    assert found.equal, found.table()
    assert found.unmatched == ()
    assert found.compared + len(found.resumed) == QUANTIZED
    in_float = {SCORES_IN_FLOAT: 0 if dynamo else 1, RELU_IN_FLOAT: 2 if symmetric else 0}
    assert len(found.resumed) == sum(in_float.values()), in_float
    assert found.accuracy["agreement"] > 0.99


def test_the_dynamo_exporter_takes_no_fake_quantize_modules() -> None:
    """So the calls are what torch offers there; when this passes, test the modules as well."""
    with pytest.raises(Exception, match="Failed to export the model"):
        export(calibrated(per_channel=False, symmetric=False), dynamo=True, opset=18)


def test_scores_are_within_one_code_of_what_pytorch_itself_computes() -> None:
    """The module's own forward pass, without ONNX between."""
    import torch

    network = calibrated(per_channel=True, symmetric=False)
    x = samples(SAMPLES)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    model = intsim.load(export(network, dynamo=False, opset=17), target="onnxruntime")
    output = model.run(x).outputs["y"]
    assert output.format is not None
    apart = np.abs(output.real - expected) / np.float32(output.format.scale[0])
    assert apart.max() < 1.5
    assert np.mean(apart > 0.5) < 0.1, "float roundings upstream, propagated"


def trained_with_batch_norm() -> Any:
    """Convolutions fused with their batch norms, as prepare_qat leaves them, calibrated."""
    import torch
    from torch import nn
    from torch.ao import quantization

    ao: Any = quantization  # its functions have no types

    class Fused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quant, self.dequant = ao.QuantStub(), ao.DeQuantStub()
            self.first, self.norm1, self.relu1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
            self.second, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)

        def forward(self, x: torch.Tensor) -> Any:
            x = self.relu1(self.norm1(self.first(self.quant(x))))
            return self.dequant(self.norm2(self.second(x)))

    torch.manual_seed(0)
    network: Any = Fused().train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, *SHAPE))
    network = ao.fuse_modules_qat(network, [["first", "norm1", "relu1"], ["second", "norm2"]])
    network.qconfig = ao.get_default_qat_qconfig("x86", version=0)  # FakeQuantize; version 1 has no form in ONNX
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = ao.prepare_qat(network)
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(8, *SHAPE))
    return network.eval().apply(ao.disable_observer)


@pytest.mark.parametrize("target", ["xnnpack", "tflite-single", "tosa"])
def test_convolutions_that_were_trained_with_their_batch_norm_run_in_integers(target: str) -> None:
    model = intsim.load(export(trained_with_batch_norm(), dynamo=False, opset=17), target=target)
    notes = [layer.note for layer in model.lowered.layers if layer.op == "conv"]
    ops = ("Div, Add, BatchNormalization", "Div, BatchNormalization")  # the first one has a bias of its own
    assert notes == [f"{names} folded into its weights and bias" for names in ops]
    x = samples(32)
    assert intsim.compare(model, "spec", x[:8]).equal
    found = intsim.compare(model, "torch", x, isolated=True)
    assert found.compared == 3
    assert max(layer.max_difference for layer in found.layers) <= 1, found.table()
    assert found.mismatches < 1e-3 * found.elements, "float32 sums, and PyTorch's division and product, round"


@pytest.mark.parametrize(("target", "causes"), [("tflite", {"requantizer", "float rounding"}), ("xnnpack", None)])
def test_two_roundings_are_told_from_those_of_floats(target: str, causes: set[str] | None) -> None:
    """TFLite rounds the high product, then the shift: far more codes differ than PyTorch's float32 explains."""
    model = intsim.load(export(calibrated(True, False), dynamo=False, opset=17), target=target)
    found = intsim.compare(model, "torch", samples(SAMPLES), isolated=True)
    assert set(found.causes) == (causes or {"float rounding"}), found.table()
    if causes:
        assert found.causes["requantizer"] > 3 * found.causes["float rounding"]
