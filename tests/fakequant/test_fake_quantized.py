"""The fake-quantized tensors of an exported program are compared, though it has no names in common with the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import intsim
from intsim.fakequant.fake_quantized import matched, run_and_collect

pytest.importorskip("torch")

import torch

from tests.models.fake_quantize import BATCH, SHAPE, calibrated, export, samples, with_calls

ACTIVATIONS = ["input", "first", "depthwise", "sum", "mean", "output"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "program.pt2"
    network = with_calls(calibrated(per_channel=True, symmetric=False))
    torch.export.save(torch.export.export(network, (torch.zeros(BATCH, *SHAPE),)), path)
    return path


def onnx_model(target: str) -> intsim.Model:
    return intsim.load(export(calibrated(per_channel=True, symmetric=False), dynamo=False, opset=17), target=target)


def test_every_quantized_tensor_of_the_module_is_compared(program: Path) -> None:
    found = intsim.compare(onnx_model("xnnpack"), f"torch:{program}", samples(4 * BATCH), isolated=True)
    assert [layer.name.split("/")[1].split("_")[0] for layer in found.layers if layer.elements] == ACTIVATIONS
    assert not found.unmatched
    assert found.layers[0].mismatches == 0
    assert max(layer.max_difference for layer in found.layers) == 1
    assert 0 < found.mismatches < 0.02 * found.elements


def test_the_codes_are_the_modules_own(program: Path) -> None:
    network, x = with_calls(calibrated(per_channel=True, symmetric=False)), torch.from_numpy(samples(BATCH))
    with torch.no_grad():
        _, found = run_and_collect(torch, torch.export.load(program).module(), [x])
        first = network.first(network.input(x))
    assert len(found) == len(ACTIVATIONS)
    (scale, zero, low, high, shape), codes = found[1]
    assert (low, high, shape) == (0, 255, (8, 12, 12))
    assert scale == network.first.output.scale
    np.testing.assert_array_equal(((codes - zero) * np.float32(scale)).astype(np.float32), first.numpy())


def test_tensors_of_one_format_are_told_by_their_order_or_not_at_all(program: Path) -> None:
    lowered = onnx_model("xnnpack").lowered
    key = (float(np.float32(lowered.values["/input/QuantizeLinear_output_0"].scale[0])), 131, 0, 255, SHAPE)  # type: ignore[union-attr]
    codes = np.full((1, *SHAPE), 7)
    assert list(matched(lowered, [(key, codes)])) == ["/input/QuantizeLinear_output_0"]
    assert matched(lowered, [(key, codes), (key, codes)]) == {}
    assert matched(lowered, [((key[0], 130, *key[2:]), codes)]) == {}
    assert matched(lowered, [((*key[:4], (3, 12, 13)), codes)]) == {}
