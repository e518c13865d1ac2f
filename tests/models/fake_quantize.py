"""A small residual network with PyTorch's fake quantizers, as modules or as calls, in the form of each exporter."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.ao import quantization as fake

SHAPE = (3, 12, 12)
BATCH = 16


def activation_quantizer(symmetric: bool) -> fake.FakeQuantize:
    """8-bit fake quantization with an observer: signed and symmetric, or unsigned and affine."""
    low, high = (-128, 127) if symmetric else (0, 255)
    return _quantizer(
        fake.MinMaxObserver,
        quant_min=low,
        quant_max=high,
        dtype=torch.qint8 if symmetric else torch.quint8,
        qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
    )


def weight_quantizer(per_channel: bool) -> fake.FakeQuantize:
    """Signed, symmetric 8-bit fake quantization of weights, per tensor or per output channel."""
    limits: dict[str, Any] = {"quant_min": -128, "quant_max": 127, "dtype": torch.qint8}
    if per_channel:
        scheme = torch.per_channel_symmetric
        return _quantizer(fake.PerChannelMinMaxObserver, qscheme=scheme, ch_axis=0, **limits)
    return _quantizer(fake.MinMaxObserver, qscheme=torch.per_tensor_symmetric, **limits)


def _quantizer(observer: type, **arguments: Any) -> fake.FakeQuantize:
    return fake.FakeQuantize(observer, **arguments)  # type: ignore[no-untyped-call]


class Calls(nn.Module):
    """torch.fake_quantize_* with the scale and zero point of a FakeQuantize module: what the dynamo exporter takes."""

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, module: fake.FakeQuantize) -> None:
        super().__init__()
        self.low, self.high = module.quant_min, module.quant_max
        self.axis = module.ch_axis if module.is_per_channel else None
        self.register_buffer("scale", module.scale.clone())
        self.register_buffer("zero_point", module.zero_point.clone())
        self.number = float(module.scale[0]), int(module.zero_point[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.axis is None:
            return torch.fake_quantize_per_tensor_affine(x, *self.number, self.low, self.high)
        return torch.fake_quantize_per_channel_affine(x, self.scale, self.zero_point, self.axis, self.low, self.high)


class Layer(nn.Module):
    """A convolution with fake-quantized weights, Relu, and a fake quantizer."""

    def __init__(self, inputs: int, outputs: int, groups: int, per_channel: bool, symmetric: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)
        self.weight = weight_quantizer(per_channel)
        self.output = activation_quantizer(symmetric)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        c = self.conv
        y = nn.functional.conv2d(x, self.weight(c.weight), c.bias, c.stride, c.padding, c.dilation, c.groups)
        return self.output(torch.relu(y))


class Network(nn.Module):
    """Convolution, depthwise convolution, residual sum, MaxPool, mean, fully connected layer."""

    def __init__(self, per_channel: bool, symmetric: bool) -> None:
        super().__init__()
        self.input = activation_quantizer(symmetric)
        self.first = Layer(SHAPE[0], 8, 1, per_channel, symmetric)
        self.depthwise = Layer(8, 8, 8, per_channel, symmetric)
        self.sum = activation_quantizer(symmetric)
        self.mean = activation_quantizer(symmetric)
        self.linear = nn.Linear(8, 5)
        self.weight = weight_quantizer(False)
        self.output = activation_quantizer(symmetric)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.input(x))
        x = self.sum(x + self.depthwise(x))
        x = self.mean(nn.functional.adaptive_avg_pool2d(nn.functional.max_pool2d(x, 2), 1))
        weight = self.weight(self.linear.weight)
        return self.output(nn.functional.linear(torch.flatten(x, 1), weight, self.linear.bias))


def calibrated(per_channel: bool, symmetric: bool, seed: int = 0) -> Network:
    """The network with seeded weights, its observers run on normal values and then switched off."""
    torch.manual_seed(seed)
    network = Network(per_channel, symmetric).train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.randn(8, *SHAPE))
    return network.eval().apply(fake.disable_observer)


def with_calls(network: Network) -> Network:
    """The network with each FakeQuantize module replaced by its Calls."""
    for name, module in list(network.named_modules()):
        if isinstance(module, fake.FakeQuantize):
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, Calls(module))
    return network


def export(network: nn.Module, *, dynamo: bool, opset: int) -> onnx.ModelProto:
    """What torch.onnx.export makes of it: input `x` f32[batch, 3, 12, 12], output `y` f32[batch, 5].

    The batch is BATCH from the dynamo exporter: torch 2.13 cannot export fake quantization with an open one.
    """
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"], "opset_version": opset}
    if not dynamo:
        names["dynamic_axes"] = {"x": {0: "batch"}, "y": {0: "batch"}}
    quiet = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(quiet),
        contextlib.redirect_stderr(quiet),
    ):
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(network, (torch.randn(BATCH, *SHAPE),), path, dynamo=dynamo, external_data=False, **names)
        return onnx.load(path)


def samples(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Inputs f32[count, 3, 12, 12], normal values."""
    return np.random.default_rng(seed).standard_normal((count, *SHAPE)).astype(np.float32)
