"""What torch.onnx.export writes for modules with torch.ao.quantization's FakeQuantize.

torch 2.13's TorchScript exporter takes them as they come. Its dynamo exporter cannot trace FakeQuantize (an `if` on
the observer's buffer), so there the calibrated modules are replaced by calls of torch's fake-quantize functions; and
it has no form of those for an unknown batch.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from intsim.graph import Graph
from intsim.importers import load_graph
from tests.importers.onnx.round_trip import evaluate, same_meaning, to_onnx

torch = pytest.importorskip("torch")
nn, ao = torch.nn, torch.ao.quantization


def fake_quantize(low: int, high: int, kind: Any, channels: int | None = None) -> Any:

    if channels is None:
        return ao.FakeQuantize(ao.MovingAverageMinMaxObserver, quant_min=low, quant_max=high, dtype=kind)
    return ao.FakeQuantize(
        ao.MovingAveragePerChannelMinMaxObserver,
        quant_min=low,
        quant_max=high,
        dtype=kind,
        qscheme=torch.per_channel_symmetric,
        ch_axis=channels,
    )


def network(top: int, batch_norm: bool) -> Any:
    """conv (per channel) -> relu -> max pool -> residual add -> flatten -> linear, activations in 0 … top.

    Calibrated, with the observers off. top: 255, or 127 for torch's reduced range.
    """

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.quant, self.dequant = ao.QuantStub(), ao.DeQuantStub()
            self.first = nn.Conv2d(3, 8, 3, padding=1)
            self.norm, self.relu = (nn.BatchNorm2d(8) if batch_norm else nn.Identity()), nn.ReLU()
            self.pool, self.second = nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1, groups=2)
            self.add, self.linear = torch.ao.nn.quantized.FloatFunctional(), nn.Linear(8 * 16, 5)

        def forward(self, x: Any) -> Any:
            x = self.pool(self.relu(self.norm(self.first(self.quant(x)))))
            x = self.add.add(self.second(x), x)
            return self.dequant(self.linear(x.view(x.size(0), -1)))

    torch.manual_seed(0)
    module = Network().train()
    if not batch_norm:
        module = ao.fuse_modules_qat(module, [["first", "relu"]])
    module.qconfig = ao.QConfig(
        activation=lambda **_: fake_quantize(0, top, torch.quint8),
        weight=lambda **_: fake_quantize(-128, 127, torch.qint8, 0),
    )
    module = ao.prepare_qat(module)
    for _ in range(3):
        module(torch.rand(4, 3, 8, 8))
    return module.eval().apply(ao.disable_observer)


def by_torchscript(module: Any, x: Any) -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (x,), file, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}}
        )
    return onnx.load_from_string(file.getvalue())


def by_dynamo(module: Any, x: Any) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            frozen(module),
            (x,),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            output_names=["y"],
        )
    model = program.model_proto
    assert isinstance(model, onnx.ModelProto)
    return model


def frozen(module: Any) -> Any:
    """The module with each FakeQuantize replaced by what it computes once its observer is off."""

    class Frozen(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, of: Any) -> None:
            super().__init__()
            self.low, self.high, self.axis = of.quant_min, of.quant_max, of.ch_axis
            self.scale, self.zero = of.scale, of.zero_point
            self.number = (float(of.scale[0]), int(of.zero_point[0]))

        def forward(self, x: Any) -> Any:
            if self.axis == -1:
                return torch.fake_quantize_per_tensor_affine(x, *self.number, self.low, self.high)
            return torch.fake_quantize_per_channel_affine(x, self.scale, self.zero, self.axis, self.low, self.high)

    for name, child in module.named_children():
        setattr(module, name, Frozen(child) if isinstance(child, ao.FakeQuantize) else frozen(child))
    return module


EXPORTERS: dict[str, Callable[[Any, Any], onnx.ModelProto]] = {"torchscript": by_torchscript, "dynamo": by_dynamo}
OPS = ["QuantizeLinear", "Conv", "Relu", "MaxPool", "Conv", "Add", "Reshape", "Gemm", "DequantizeLinear"]


@pytest.mark.parametrize("top", [255, 127])
@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_network(exporter: str, top: int) -> None:
    """The same layers from both exporters; the codes are those of the exported model."""
    module, x = network(top, False), torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        expected = module(x).numpy()
    model = EXPORTERS[exporter](module, x)
    graph = same_meaning(model, spread=0.5)
    assert [n.op for n in graph.nodes] == OPS
    assert graph.values["x"].shape == (4 if exporter == "dynamo" else None, 3, 8, 8)
    first = graph.nodes[1]
    weights, activations = graph.format(first.inputs[1]), graph.format(graph.nodes[2].outputs[0])
    assert weights is not None
    assert activations is not None
    assert (weights.bits, weights.signed, weights.axis, len(weights.scale)) == (8, True, 0, 8)
    assert (activations.bits, activations.signed) == (8 if top == 255 else 7, False)
    assert graph.format(first.inputs[2]) is None  # torch leaves the bias a float
    output = graph.format(graph.nodes[-2].outputs[0])
    assert output is not None
    actual = evaluate(to_onnx(graph), {"x": x.numpy()}, [graph.outputs[0]])[graph.outputs[0]]
    # torch quantizes by a product with 1 / scale and sums in another order: near ties a code differs, and a code of the
    # output by more where one before it does.
    assert np.abs(actual - expected).max() <= 2.5 * output.scale[0]


def test_a_fused_batch_norm_is_a_chain_of_reals() -> None:
    """torch writes Conv, Div, Add, BatchNormalization: the target says whether it can compute that."""
    graph = load_graph(by_torchscript(network(255, True), torch.rand(4, 3, 8, 8)))
    assert "BatchNormalization" in [n.op for n in graph.nodes]


def test_weights_that_are_transposed_or_reshaped_behind_their_fake_quantize() -> None:
    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 5))
            self.scale, self.zero = torch.linspace(0.01, 0.03, 6), torch.zeros(6, dtype=torch.int32)

        def forward(self, x: Any) -> Any:
            x = torch.fake_quantize_per_tensor_affine(x, 0.05, 3, 0, 255)
            w = torch.fake_quantize_per_channel_affine(self.weight, self.scale, self.zero, 0, -128, 127)
            y = torch.matmul(x, w.t()) + torch.nn.functional.conv1d(x.transpose(1, 2), w.unsqueeze(-1)).transpose(1, 2)
            return torch.fake_quantize_per_tensor_affine(y, 0.05, 100, 0, 255)

    for export in EXPORTERS.values():
        graph: Graph = same_meaning(export(Layer().eval(), torch.randn(2, 7, 5)))
        (matmul,) = [n for n in graph.nodes if n.op == "MatMul"]
        (conv,) = [n for n in graph.nodes if n.op == "Conv"]
        formats = graph.format(matmul.inputs[1]), graph.format(conv.inputs[1])
        assert [f.axis for f in formats if f is not None] == [1, 0]
