"""The PyTorch twin, judged by ONNX Runtime without any fusion: both compute the file's float ops and fake quantizers.

Scales are powers of two, so that sums of products are exact in float32 and the order of the additions does not matter.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

import intsim
from intsim.errors import MissingDependency, UnsupportedOp
from intsim.fakequant.twin import TorchTwin, codes_of, fake_quantize
from intsim.formats import Format
from intsim.graph import Graph, Node, Value
from intsim.quantization import quantize_model
from tests.comparison.networks import classifier, stimulus
from tests.models.small import GRAPHS, small, small_input

ort = pytest.importorskip("onnxruntime")


def unfused(model: onnx.ModelProto, x: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Every tensor of codes as ONNX Runtime computes it when it changes nothing in the graph."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {output.name for output in model.graph.output}
    for node in model.graph.node:
        model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in node.output if n not in known)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = zip(names, session.run(names, {"x": x}), strict=True)
    return {name: value for name, value in values if value.dtype == np.int8}


@pytest.mark.parametrize("name", GRAPHS)
def test_every_op_gives_the_codes_of_the_file_run_as_it_is_written(name: str) -> None:
    x = small_input(name, 16)
    quantized = quantize_model(small(name), x).model
    expected = unfused(quantized, x)
    made = TorchTwin(intsim.load(quantized, target="diffquant").graph).run({"x": x})
    compared = 0
    for tensor, codes in expected.items():
        if tensor in made and made[tensor].dtype.kind in "iu":
            compared += 1
            np.testing.assert_array_equal(made[tensor], codes, strict=True, err_msg=tensor)
    assert compared >= 2


def test_fake_quantize_is_pytorchs_own() -> None:
    real = torch.linspace(-9, 9, 1001)
    format = Format(8, False, scale=(0.05,), zero_point=(100,))
    fake = fake_quantize(real, format)
    codes = codes_of(fake, format)
    expected = torch.fake_quantize_per_tensor_affine(real, 0.05, 100, 0, 255)
    assert torch.equal(fake, expected)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(format.real(codes), expected.numpy())


def test_fake_quantize_per_channel() -> None:
    real = torch.linspace(-3, 3, 60).reshape(2, 3, 10)
    format = Format(4, scale=(0.5, 0.25, 0.125), zero_point=(0, 1, -2), axis=1)
    fake = fake_quantize(real, format)
    codes = codes_of(fake, format)
    for channel in range(3):
        scale, zero = format.scale[channel], format.zero_point[channel]
        one = torch.fake_quantize_per_tensor_affine(real[:, channel], scale, zero, -8, 7)
        assert torch.equal(fake[:, channel], one)
    np.testing.assert_array_equal(format.real(codes), fake.numpy())


def test_forward_gives_the_reals_of_the_outputs_alone() -> None:
    model, feeds = classifier(), {"x": stimulus()}
    twin = TorchTwin(model.graph)
    made, tensors = twin.forward(feeds), twin.run(feeds)
    assert tuple(made) == model.graph.outputs
    for name, real in made.items():
        format = model.graph.format(name)
        expected = tensors[name] if format is None else format.real(tensors[name])
        np.testing.assert_array_equal(real, expected, strict=True)


def test_an_op_without_a_pytorch_form_is_named() -> None:
    format = Format(8, scale=(0.5,))
    node = Node("odd", "Oddity", ("x",), ("y",))
    values = {name: Value(name, (None, 4), format) for name in "xy"}
    with pytest.raises(UnsupportedOp, match="node 'odd': no PyTorch form of Oddity"):
        TorchTwin(Graph("g", ("x",), ("y",), (node,), values, {}, 21))


def test_pytorchs_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    TorchTwin(classifier().graph, threads=before + 1).run({"x": stimulus()})
    assert torch.get_num_threads() == before


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"pip install intsim\[torch\]"):
        TorchTwin(classifier().graph)
